// rms_norm.h, rope.h and their fusions (residual_rms_norm.h, rms_norm_rope.h). A row belongs to
// kRmsNormLanes neighbouring threads, one for each partial sum.

#include <algorithm>
#include <initializer_list>

#include "harness/kernels/cuda/rows/head_row.cuh"
#include "harness/kernels/cuda/rows/kv_slot.cuh"
#include "harness/kernels/cuda/rows/launchers.h"
#include "harness/kernels/cuda/rows/rms_norm.cuh"
#include "harness/kernels/cuda/runtime/device.cuh"
#include "harness/kernels/cuda/runtime/launch.cuh"
#include "harness/kernels/cuda/runtime/sequences.cuh"

namespace samebits::cuda {
namespace {

constexpr int kLanes = kRmsNormLanes;
constexpr int kRowsPerBlock = 8;
constexpr int kThreads = kLanes * kRowsPerBlock;

struct Place {
  int64_t row;
  int lane;
};

__device__ Place place() {
  return {static_cast<int64_t>(blockIdx.x) * kRowsPerBlock + threadIdx.x / kLanes,
          static_cast<int>(threadIdx.x % kLanes)};
}

unsigned blocks_for(int64_t rows) {
  return static_cast<unsigned>((rows + kRowsPerBlock - 1) / kRowsPerBlock);
}

template <typename T>
__device__ float inverse_rms(const T* x, int64_t n, int64_t dim, int lane, float eps) {
  return inverse_rms_of(n, dim, lane, eps, [x](int64_t i) { return load(x[i]); });
}

template <typename T>
__device__ void write_norm(const T* x, const T* weight, T* y, int64_t n, int lane, float r,
                           bool fused_rounding) {
#pragma unroll 8
  for (int64_t i = lane; i < n; i += kLanes) {
    store(normed_element<T>(load(x[i]) * r, load(weight[i]), fused_rounding), y[i]);
  }
}

template <typename T>
__global__ void rms_norm_kernel(int64_t rows, int64_t dim, const T* x, const T* weight, T* y,
                                float eps, bool fused_rounding) {
  wait_for_earlier_kernels();
  const Place at = place();
  const int64_t n = at.row < rows ? dim : 0;
  x += at.row * dim;
  const float r = inverse_rms(x, n, dim, at.lane, eps);
  write_norm(x, weight, y + at.row * dim, n, at.lane, r, fused_rounding);
}

// Each lane reads back only what it wrote itself.
template <typename T>
__global__ void residual_rms_norm_kernel(int64_t rows, int64_t dim, const T* x, const T* y,
                                         const T* weight, T* sum, T* normed, float eps) {
  wait_for_earlier_kernels();
  const Place at = place();
  const int64_t n = at.row < rows ? dim : 0;
  const int64_t first = at.row * dim;
  for (int64_t i = at.lane; i < n; i += kLanes) {
    store(load(x[first + i]) + load(y[first + i]), sum[first + i]);
  }
  const float r = inverse_rms(sum + first, n, dim, at.lane, eps);
  write_norm(sum + first, weight, normed + first, n, at.lane, r, /*fused_rounding=*/false);
}

// A wide row, by a block: all threads read and write it, and the lanes of the sum find it in shared
// memory. With kAdds, x + y is written to sum, and is the row.
constexpr int kWideThreads = 128;
constexpr int64_t kWideFrom = 512;
constexpr int64_t kWideTo = 6136;  // two floats each, and one: 48 KiB, which every kernel may have

bool is_wide(const Rows& size) { return size.dim >= kWideFrom && size.dim <= kWideTo; }

template <typename T, bool kAdds>
__global__ void __launch_bounds__(kWideThreads)
    wide_rms_norm_kernel(int64_t dim, const T* x, const T* y, const T* weight, T* sum, T* normed,
                         float eps, bool fused_rounding) {
  extern __shared__ float values[];
  float* weights = values + dim;  // read before anything waits for the sum
  __shared__ float shared_r;
  wait_for_earlier_kernels();
  const int thread = static_cast<int>(threadIdx.x);
  const int64_t first = static_cast<int64_t>(blockIdx.x) * dim;
  // All loads of a batch go ahead of its stores, which may be to the same memory for all that the
  // compiler knows.
  constexpr int kBatch = 8;
  for (int64_t i = thread; i < dim; i += kBatch * kWideThreads) {
    const int64_t left = (dim - i + kWideThreads - 1) / kWideThreads;
    T from[kBatch];
    T added[kBatch];
    T scale[kBatch];
#pragma unroll
    for (int j = 0; j < kBatch; ++j) {
      if (j >= left) continue;
      from[j] = x[first + i + j * kWideThreads];
      if (kAdds) added[j] = y[first + i + j * kWideThreads];
      scale[j] = weight[i + j * kWideThreads];
    }
#pragma unroll
    for (int j = 0; j < kBatch; ++j) {
      if (j >= left) continue;
      const int64_t at = i + j * kWideThreads;
      if (kAdds) {
        store(load(from[j]) + load(added[j]), from[j]);
        sum[first + at] = from[j];
      }
      values[at] = load(from[j]);
      weights[at] = load(scale[j]);
    }
  }
  __syncthreads();
  if (thread < 32) {  // the row's lanes, and as many without a row
    const float r = inverse_rms(values, thread < kLanes ? dim : 0, dim, thread % kLanes, eps);
    if (thread == 0) shared_r = r;
  }
  __syncthreads();
  const float r = shared_r;
#pragma unroll 8
  for (int64_t i = thread; i < dim; i += kWideThreads) {
    store(normed_element<T>(values[i] * r, weights[i], fused_rounding), normed[first + i]);
  }
}

// A wide row of bf16, in eights, kMost of a thread at most. Early (launch.cuh) where the weight is
// settled: it is read before the kernels ahead have ended, and the products that read the norm ask
// for their own weights meanwhile.
template <int kMost>
__global__ void __launch_bounds__(kWideThreads)
    eights_rms_norm_kernel(int dim, const uint4* x, const uint4* weight, uint4* y, float eps,
                           bool fused_rounding, bool weight_is_settled) {
  extern __shared__ float values[];
  __shared__ float shared_r;
  const int thread = static_cast<int>(threadIdx.x);
  const int eights = dim / 8;
  uint4 own[kMost];
  uint4 scale[kMost];
  const auto read = [&](uint4(&to)[kMost], const uint4* from) {
#pragma unroll
    for (int j = 0; j < kMost; ++j) {
      if (thread + j * kWideThreads < eights) to[j] = __ldcg(from + thread + j * kWideThreads);
    }
  };
  if (weight_is_settled) {
    let_next_kernel_begin();
    read(scale, weight);
  }
  wait_for_earlier_kernels();
  const int64_t first = static_cast<int64_t>(blockIdx.x) * eights;
  read(own, x + first);
  if (!weight_is_settled) read(scale, weight);
#pragma unroll
  for (int j = 0; j < kMost; ++j) {
    if (thread + j * kWideThreads >= eights) continue;
    auto* const to = reinterpret_cast<float4*>(values) + 2 * (thread + j * kWideThreads);
    const uint4 eight = own[j];
    to[0] = {lower_of(eight.x), upper_of(eight.x), lower_of(eight.y), upper_of(eight.y)};
    to[1] = {lower_of(eight.z), upper_of(eight.z), lower_of(eight.w), upper_of(eight.w)};
  }
  __syncthreads();
  if (thread < 32) {  // the row's lanes, and as many without a row
    const float r = inverse_rms(values, thread < kLanes ? dim : 0, dim, thread % kLanes, eps);
    if (thread == 0) shared_r = r;
  }
  __syncthreads();
  const float r = shared_r;
  const auto norm = [&](uint32_t two, uint32_t weights) {
    return pack_bf16(normed_element<Bf16>(lower_of(two) * r, lower_of(weights), fused_rounding),
                     normed_element<Bf16>(upper_of(two) * r, upper_of(weights), fused_rounding));
  };
#pragma unroll
  for (int j = 0; j < kMost; ++j) {
    if (thread + j * kWideThreads >= eights) continue;
    y[first + thread + j * kWideThreads] = {norm(own[j].x, scale[j].x), norm(own[j].y, scale[j].y),
                                            norm(own[j].z, scale[j].z), norm(own[j].w, scale[j].w)};
  }
}

bool is_in_eights(const Rows& size, std::initializer_list<const void*> operands) {
  return size.bf16 && size.dim % 8 == 0 &&
         std::all_of(operands.begin(), operands.end(),
                     [](const void* x) { return reinterpret_cast<uintptr_t>(x) % 16 == 0; });
}

template <typename T>
__global__ void rms_norm_dgrad_kernel(int64_t rows, int64_t dim, const T* dy, const T* x,
                                      const T* weight, T* dx, float eps) {
  const Place at = place();
  const int64_t n = at.row < rows ? dim : 0;
  dy += at.row * dim;
  x += at.row * dim;
  dx += at.row * dim;
  const float r = inverse_rms(x, n, dim, at.lane, eps);
  const float c = row_sum(n, at.lane,
                          [=](int64_t i) {
                            const float g = load(dy[i]) * load(weight[i]);
                            return g * (load(x[i]) * r);
                          }) /
                  static_cast<float>(dim);
  for (int64_t i = at.lane; i < n; i += kLanes) {
    const float g = load(dy[i]) * load(weight[i]);
    const float h = load(x[i]) * r;
    store(r * (g - h * c), dx[i]);
  }
}

// The same of rows of a head: every lane has its elements in registers, read once.
template <typename T, int kOwn>
__global__ void head_rms_norm_dgrad_kernel(int64_t rows, const T* dy, const T* x, const T* weight,
                                           T* dx, float eps) {
  constexpr int64_t kDim = kOwn * kLanes;
  const Place at = place();
  const int64_t row = at.row < rows ? at.row : 0;
  float g[kOwn];
  float h[kOwn];
  T loaded[kOwn];
  T scale[kOwn];
#pragma unroll
  for (int j = 0; j < kOwn; ++j) {
    const int i = j * kLanes + at.lane;
    loaded[j] = x[row * kDim + i];
    scale[j] = weight[i];
    g[j] = load(dy[row * kDim + i]);
  }
#pragma unroll
  for (int j = 0; j < kOwn; ++j) {
    h[j] = load(loaded[j]);
    g[j] = g[j] * load(scale[j]);
  }
  const auto sum_of_products = [](const float(&a)[kOwn], const float(&b)[kOwn]) {
    float partial = 0.0f;
#pragma unroll
    for (int j = 0; j < kOwn; ++j) partial = partial + a[j] * b[j];
    return __shfl_sync(0xffffffffu, fold_lanes<kLanes>(partial), 0, kLanes);
  };
  const float r = 1.0f / sqrtf(sum_of_products(h, h) / static_cast<float>(kDim) + eps);
#pragma unroll
  for (int j = 0; j < kOwn; ++j) h[j] = h[j] * r;
  const float c = sum_of_products(g, h) / static_cast<float>(kDim);
  if (at.row >= rows) return;
#pragma unroll
  for (int j = 0; j < kOwn; ++j) {
    store(r * (g[j] - h[j] * c), dx[row * kDim + j * kLanes + at.lane]);
  }
}

template <typename T>
__global__ void inverse_rms_kernel(int64_t rows, int64_t dim, const T* x, float* r, float eps) {
  const Place at = place();
  const float value = inverse_rms(x + at.row * dim, at.row < rows ? dim : 0, dim, at.lane, eps);
  if (at.row < rows && at.lane == 0) r[at.row] = value;
}

// Blocks of rows of a gradient, begun anew at each sequence: how many those of one have.
__device__ int64_t blocks_of(const TokenRange& tokens, int64_t rows_of_token) {
  const int64_t rows = (tokens.end - tokens.first) * rows_of_token;
  return (rows + kRmsNormBlockRows - 1) / kRmsNormBlockRows;
}

// One thread a column of one block of rows.
template <typename T>
__global__ void wgrad_block_kernel(Sequences sequences, int64_t rows_of_token, int64_t dim,
                                   const T* dy, const T* x, const float* r, float* sums,
                                   Fault* fault) {
  const int64_t column = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  int64_t left = blockIdx.y;  // blocks before this one, from sequence s on
  int64_t s = 0;
  TokenRange tokens{};
  for (; s < sequences.groups * sequences.count; ++s) {
    tokens = tokens_of(sequences, s, fault);
    const int64_t blocks = blocks_of(tokens, rows_of_token);
    if (left < blocks) break;
    left -= blocks;
  }
  if (s == sequences.groups * sequences.count || column >= dim) return;
  const int64_t first = tokens.first * rows_of_token + left * kRmsNormBlockRows;
  const int64_t end = min(first + kRmsNormBlockRows, tokens.end * rows_of_token);
  float sum = 0.0f;
#pragma unroll 8  // loads go ahead of what waits for the row before
  for (int64_t row = first; row < end; ++row) {
    sum = sum + load(dy[row * dim + column]) * (load(x[row * dim + column]) * r[row]);
  }
  sums[blockIdx.y * dim + column] = sum;
}

// The blocks' sums, one after the other, by one warp, a thread a column; all warps bring them. What
// a warp has on its way is added after what lies in shared memory.
constexpr int kSumColumns = 32;
constexpr int kSumThreads = 512;
constexpr int kSumOwn = 8;
constexpr int kSumPiece = kSumThreads / kSumColumns * kSumOwn;  // blocks

__global__ void __launch_bounds__(kSumThreads)
    wgrad_sum_kernel(Sequences sequences, int64_t rows_of_token, int64_t dim, const float* sums,
                     int64_t blocks, float* to, Fault* fault) {
  __shared__ float pieces[2][kSumPiece][kSumColumns];
  const int own = static_cast<int>(threadIdx.x) % kSumColumns;
  const int warp = static_cast<int>(threadIdx.x) / kSumColumns;
  const int64_t column = static_cast<int64_t>(blockIdx.x) * kSumColumns + own;
  const bool has_column = column < dim;
  float brought[kSumOwn];
  const auto bring = [&](int64_t first, int64_t end) {
#pragma unroll
    for (int i = 0; i < kSumOwn; ++i) {
      const int64_t block = first + i * (kSumPiece / kSumOwn) + warp;
      brought[i] = has_column && block < end ? sums[block * dim + column] : 0.0f;
    }
  };
  GroupTree tree;
  int at_work = 0;
  int64_t first = 0;  // block of the group
  for (int64_t group = 0; group < sequences.groups; ++group) {
    int64_t end = first;
    for (int64_t s = 0; s < sequences.count; ++s) {
      end += blocks_of(tokens_of(sequences, group * sequences.count + s, fault), rows_of_token);
    }
    end = min(end, blocks);  // that there are
    float sum = has_column && sequences.groups == 1 ? to[column] : 0.0f;
    if (first < end) bring(first, end);
    for (; first < end; first += kSumPiece, at_work ^= 1) {
#pragma unroll
      for (int i = 0; i < kSumOwn; ++i) {
        pieces[at_work][i * (kSumPiece / kSumOwn) + warp][own] = brought[i];
      }
      __syncthreads();
      if (first + kSumPiece < end) bring(first + kSumPiece, end);
      if (warp != 0) continue;
      const int count = static_cast<int>(min(end - first, static_cast<int64_t>(kSumPiece)));
#pragma unroll 16
      for (int i = 0; i < count; ++i) sum = sum + pieces[at_work][i][own];
    }
    first = end;
    tree.add(sum, group);
  }
  if (warp == 0 && has_column) store(tree.sum(), to[column]);
}

// The half of a head's dimension that a lane rotates, with its position checked.
template <typename T>
__device__ void rotate(const Rotation& call, int64_t row, int lane, const T* x, T* y,
                       bool inverse) {
  const int64_t token = row / call.heads;
  const int64_t position = call.positions[token];
  if (position < 0 || position >= call.table) return;  // a fault, raised by the caller
  const int64_t half = call.dim / 2;
  for (int64_t i = lane; i < half; i += kLanes) {
    const float x1 = load(x[i]);
    const float x2 = load(x[i + half]);
    const float c = call.cos[position * half + i];
    const float s = (inverse ? -1.0f : 1.0f) * call.sin[position * half + i];
    store(x1 * c - x2 * s, y[i]);
    store(x2 * c + x1 * s, y[i + half]);
  }
}

__device__ void check_position(const Rotation& call, int64_t row, int lane, Fault* fault) {
  const int64_t token = row / call.heads;
  const int64_t position = call.positions[token];
  if (lane == 0 && row % call.heads == 0 && (position < 0 || position >= call.table)) {
    raise(fault, FaultKind::kRopePosition, token, position, call.table);
  }
}

template <typename T>
__global__ void rope_kernel(Rotation call, const T* x, T* y, bool inverse, Fault* fault) {
  wait_for_earlier_kernels();
  const Place at = place();
  if (at.row >= call.tokens * call.heads) return;
  check_position(call, at.row, at.lane, fault);
  rotate(call, at.row, at.lane, x + at.row * call.dim, y + at.row * call.dim, inverse);
}

template <typename T>
__global__ void rms_norm_rope_kernel(Rotation call, const T* x, const T* weight, float eps,
                                     T* normed, T* rotated, Fault* fault) {
  wait_for_earlier_kernels();
  const Place at = place();
  const bool has_row = at.row < call.tokens * call.heads;
  const int64_t n = has_row ? call.dim : 0;
  const int64_t first = at.row * call.dim;
  const float r = inverse_rms(x + first, n, call.dim, at.lane, eps);
  write_norm(x + first, weight, normed + first, n, at.lane, r, /*fused_rounding=*/false);
  __syncwarp();  // a lane rotates what others have written
  if (!has_row) return;
  check_position(call, at.row, at.lane, fault);
  rotate(call, at.row, at.lane, normed + first, rotated + first, /*inverse=*/false);
}

// Heads of one weight or of two, those of the second in blocks of their own.
struct TwoHeads {
  NormedHeads of[2];
  unsigned first_blocks;  // of the first
};

// The same, with a HeadRow's lanes. Everything is read before anything waits for the sum, and what
// no kernel before can be writing, before the wait for those. `write`: slots is null where keys and
// values go nowhere. May be early (launch.cuh).
template <typename T, int kPairs>
__global__ void paired_rms_norm_rope_kernel(Rotation call, TwoHeads both, float eps, KvWrite write,
                                            Fault* fault) {
  using Head = HeadRow<T, kPairs>;
  if (call.is_settled || call.lets_next_begin) let_next_kernel_begin();
  if (!call.tables_are_settled) wait_for_earlier_kernels();
  const bool is_second = blockIdx.x >= both.first_blocks;
  const NormedHeads heads = both.of[is_second ? 1 : 0];
  const bool writes = write.slots != nullptr && (is_second || both.of[1].heads == 0);
  const int lane = place().lane;
  const int64_t own_row = place().row - (is_second ? both.first_blocks * kRowsPerBlock : 0);
  const bool has_row = own_row < call.tokens * heads.heads;
  const int64_t row = has_row ? own_row : 0;
  const int64_t token = row / heads.heads;
  const bool tells = has_row && lane == 0 && row % heads.heads == 0;
  const auto part = [&](auto* of_all_rows) {
    return static_cast<T*>(const_cast<void*>(static_cast<const void*>(of_all_rows))) +
           row * Head::kDim;
  };
  Head head;
  head.load_tables(call, heads.weight, token, lane);
  const int64_t slot = writes ? find_slot(write, token, tells, fault) : -1;
  if (call.tables_are_settled && !call.is_settled) wait_for_earlier_kernels();
  head.load_values(part(heads.x), lane);
  T kept[Head::kOwn];  // of v
  if (writes) {
#pragma unroll
    for (int j = 0; j < Head::kOwn; ++j) {
      kept[j] = load_past_cache(part(write.v) + j * kLanes + lane);
    }
  }
  head.norm_and_rotate(eps);
  if (call.is_settled) wait_before_writing();
  if (!has_row) return;
  if (tells && !head.is_there) {
    raise(fault, FaultKind::kRopePosition, token, head.position, call.table);
  }
  Head::write(head.normed, part(heads.normed), lane);
  if (!head.is_there) return;
  Head::write(head.rotated, part(heads.rotated), lane);
  if (slot < 0) return;
  const int64_t to = (slot * heads.heads + row % heads.heads) * Head::kDim;
  Head::write(head.rotated, static_cast<T*>(write.k_cache) + to, lane);
  Head::write(kept, static_cast<T*>(write.v_cache) + to, lane);
}

// Every sequence may have one block that is not full.
int64_t most_blocks(const Rows& size, const Sequences& sequences) {
  return size.rows / kRmsNormBlockRows + sequences.groups * sequences.count;
}

}  // namespace

void rms_norm(const Rows& size, const void* x, const void* weight, void* y, float eps,
              bool fused_rounding, cudaStream_t stream, bool weight_is_settled) {
  if (size.rows == 0) return;
  if (is_wide(size) && is_in_eights(size, {x, weight, y})) {
    const auto run = [&](auto kernel) {
      launch(kernel, dim3(static_cast<unsigned>(size.rows)), kWideThreads,
             static_cast<size_t>(size.dim) * sizeof(float), stream, static_cast<int>(size.dim),
             static_cast<const uint4*>(x), static_cast<const uint4*>(weight),
             static_cast<uint4*>(y), eps, fused_rounding, weight_is_settled);
    };
    // With few registers there is room beside the blocks of the products.
    constexpr int kOfThreads = 8 * kWideThreads;
    if (size.dim <= kOfThreads) return run(eights_rms_norm_kernel<1>);
    return run(eights_rms_norm_kernel<(kWideTo + kOfThreads - 1) / kOfThreads>);
  }
  with_element(size.bf16, [&](auto element) {
    using T = decltype(element);
    if (is_wide(size)) {
      launch(wide_rms_norm_kernel<T, false>, dim3(static_cast<unsigned>(size.rows)), kWideThreads,
             static_cast<size_t>(size.dim) * 2 * sizeof(float), stream, size.dim,
             static_cast<const T*>(x), nullptr, static_cast<const T*>(weight), nullptr,
             static_cast<T*>(y), eps, fused_rounding);
    } else {
      launch(rms_norm_kernel<T>, dim3(blocks_for(size.rows)), kThreads, 0, stream, size.rows,
             size.dim, static_cast<const T*>(x), static_cast<const T*>(weight), static_cast<T*>(y),
             eps, fused_rounding);
    }
  });
}

void rms_norm_dgrad(const Rows& size, const void* dy, const void* x, const void* weight, void* dx,
                    float eps, cudaStream_t stream) {
  if (size.rows == 0) return;
  with_element(size.bf16, [&](auto element) {
    using T = decltype(element);
    const auto* dys = static_cast<const T*>(dy);
    const auto* xs = static_cast<const T*>(x);
    const auto* weights = static_cast<const T*>(weight);
    if (size.dim == 8 * kLanes) {
      launch_in_order(head_rms_norm_dgrad_kernel<T, 8>, blocks_for(size.rows), kThreads, 0, stream,
                      size.rows, dys, xs, weights, static_cast<T*>(dx), eps);
    } else {
      launch_in_order(rms_norm_dgrad_kernel<T>, blocks_for(size.rows), kThreads, 0, stream,
                      size.rows, size.dim, dys, xs, weights, static_cast<T*>(dx), eps);
    }
  });
}

int64_t rms_norm_wgrad_workspace(const Rows& size, const Sequences& sequences) {
  return size.rows + most_blocks(size, sequences) * size.dim;
}

void rms_norm_wgrad(const Rows& size, const Sequences& sequences, const void* dy, const void* x,
                    float* sum, float eps, float* workspace, cudaStream_t stream) {
  constexpr unsigned kColumns = 128;
  const auto column_blocks = static_cast<unsigned>((size.dim + kColumns - 1) / kColumns);
  const auto row_blocks = static_cast<unsigned>(most_blocks(size, sequences));
  const int64_t rows_of_token = sequences.tokens == 0 ? 0 : size.rows / sequences.tokens;
  float* r = workspace;
  float* sums = workspace + size.rows;
  with_element(size.bf16, [&](auto element) {
    using T = decltype(element);
    const auto* from = static_cast<const T*>(x);
    if (size.rows > 0) {
      launch_in_order(inverse_rms_kernel<T>, blocks_for(size.rows), kThreads, 0, stream, size.rows,
                      size.dim, from, r, eps);
      launch_in_order(wgrad_block_kernel<T>, dim3(column_blocks, row_blocks), kColumns, 0, stream,
                      sequences, rows_of_token, size.dim, static_cast<const T*>(dy), from, r, sums,
                      fault_record());
    }
  });
  launch_in_order(wgrad_sum_kernel,
                  static_cast<unsigned>((size.dim + kSumColumns - 1) / kSumColumns), kSumThreads, 0,
                  stream, sequences, rows_of_token, size.dim, sums,
                  static_cast<int64_t>(row_blocks), sum, fault_record());
}

void residual_rms_norm(const Rows& size, const void* x, const void* y, const void* weight,
                       void* sum, void* normed, float eps, cudaStream_t stream) {
  if (size.rows == 0) return;
  with_element(size.bf16, [&](auto element) {
    using T = decltype(element);
    if (is_wide(size)) {
      launch(wide_rms_norm_kernel<T, true>, dim3(static_cast<unsigned>(size.rows)), kWideThreads,
             static_cast<size_t>(size.dim) * 2 * sizeof(float), stream, size.dim,
             static_cast<const T*>(x), static_cast<const T*>(y), static_cast<const T*>(weight),
             static_cast<T*>(sum), static_cast<T*>(normed), eps, /*fused_rounding=*/false);
    } else {
      launch(residual_rms_norm_kernel<T>, dim3(blocks_for(size.rows)), kThreads, 0, stream,
             size.rows, size.dim, static_cast<const T*>(x), static_cast<const T*>(y),
             static_cast<const T*>(weight), static_cast<T*>(sum), static_cast<T*>(normed), eps);
    }
  });
}

void rope(const Rotation& call, const void* x, void* y, bool inverse, cudaStream_t stream) {
  const int64_t rows = call.tokens * call.heads;
  if (rows == 0) return;
  with_element(call.bf16, [&](auto element) {
    using T = decltype(element);
    launch(rope_kernel<T>, dim3(blocks_for(rows)), kThreads, 0, stream, call,
           static_cast<const T*>(x), static_cast<T*>(y), inverse, fault_record());
  });
}

void rms_norm_rope(const Rotation& call, const NormedHeads& first, const NormedHeads* second,
                   float eps, const KvWrite* write, cudaStream_t stream) {
  if (call.tokens == 0) return;
  const auto blocks = [&](const NormedHeads& heads) {
    return blocks_for(call.tokens * heads.heads);
  };
  const TwoHeads both{{first, second == nullptr ? NormedHeads{} : *second}, blocks(first)};
  with_element(call.bf16, [&](auto element) {
    using T = decltype(element);
    const auto run_paired = [&](auto kernel) {
      launch(kernel, dim3(both.first_blocks + blocks(both.of[1])), kThreads, 0, stream, call, both,
             eps, write == nullptr ? KvWrite{} : *write, fault_record());
    };
    if (call.dim == 64) return run_paired(paired_rms_norm_rope_kernel<T, 2>);
    if (call.dim == 128) return run_paired(paired_rms_norm_rope_kernel<T, 4>);
    for (const NormedHeads& heads : both.of) {
      Rotation rotation = call;
      rotation.heads = heads.heads;
      launch(rms_norm_rope_kernel<T>, dim3(blocks(heads)), kThreads, 0, stream, rotation,
             static_cast<const T*>(heads.x), static_cast<const T*>(heads.weight), eps,
             static_cast<T*>(heads.normed), static_cast<T*>(heads.rotated), fault_record());
    }
    if (write != nullptr) {
      write_kv(*write, second == nullptr ? first.rotated : second->rotated, stream);
    }
  });
}

}  // namespace samebits::cuda
