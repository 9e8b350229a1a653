// rms_norm.h, rope.h and their fusions (residual_rms_norm.h, rms_norm_rope.h). A row belongs to
// kRmsNormLanes neighbouring threads, one for each partial sum.

#include "harness/kernels/cuda/device.cuh"
#include "harness/kernels/cuda/launch.cuh"
#include "harness/kernels/cuda/launchers.h"
#include "harness/kernels/rms_norm.h"

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

// The strided sum of term(i), i < n, to every lane of the row. All threads of a warp take part,
// those without a row with n = 0.
template <typename Term>
__device__ float row_sum(int64_t n, int lane, Term term) {
  float partial = 0.0f;
#pragma unroll 16  // loads go ahead of the additions, which wait for each other
  for (int64_t i = lane; i < n; i += kLanes) partial = partial + term(i);
  return __shfl_sync(0xffffffffu, fold_lanes<kLanes>(partial), 0, kLanes);
}

template <typename T>
__device__ float inverse_rms(const T* x, int64_t n, int64_t dim, int lane, float eps) {
  const float squares = row_sum(n, lane, [x](int64_t i) {
    const float value = load(x[i]);
    return value * value;
  });
  return 1.0f / sqrtf(squares / static_cast<float>(dim) + eps);
}

template <typename T>
__device__ void write_norm(const T* x, const T* weight, T* y, int64_t n, int lane, float r,
                           bool fused_rounding) {
#pragma unroll 8
  for (int64_t i = lane; i < n; i += kLanes) {
    const float scaled = load(x[i]) * r;
    store(load(weight[i]) * (fused_rounding ? scaled : round_as<T>(scaled)), y[i]);
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
constexpr int64_t kWideTo = 6144;  // 48 KiB

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
    const float scaled = values[i] * r;
    store(weights[i] * (fused_rounding ? scaled : round_as<T>(scaled)), normed[first + i]);
  }
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

template <typename T>
__global__ void inverse_rms_kernel(int64_t rows, int64_t dim, const T* x, float* r, float eps) {
  const Place at = place();
  const float value = inverse_rms(x + at.row * dim, at.row < rows ? dim : 0, dim, at.lane, eps);
  if (at.row < rows && at.lane == 0) r[at.row] = value;
}

// One thread a column of one block of rows.
template <typename T>
__global__ void wgrad_block_kernel(int64_t rows, int64_t dim, const T* dy, const T* x,
                                   const float* r, float* sums) {
  const int64_t column = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (column >= dim) return;
  const int64_t first = static_cast<int64_t>(blockIdx.y) * kRmsNormBlockRows;
  float sum = 0.0f;
  for (int64_t row = first; row < rows && row < first + kRmsNormBlockRows; ++row) {
    sum = sum + load(dy[row * dim + column]) * (load(x[row * dim + column]) * r[row]);
  }
  sums[blockIdx.y * dim + column] = sum;
}

template <typename T>
__global__ void wgrad_sum_kernel(int64_t blocks, int64_t dim, const float* sums, T* dweight) {
  const int64_t column = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (column >= dim) return;
  float sum = 0.0f;
  for (int64_t block = 0; block < blocks; ++block) sum = sum + sums[block * dim + column];
  store(sum, dweight[column]);
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

__device__ float load_past_cache(const float* x) { return __ldcg(x); }
__device__ Bf16 load_past_cache(const Bf16* x) { return {__ldcg(&x->bits)}; }

// The same where a lane has both elements of every pair that it rotates: heads of 32 * kPairs
// elements. Everything is read before anything waits for the sum. `write`: slots is null where keys
// and values go nowhere. May be early (launch.cuh).
template <typename T, int kPairs>
__global__ void paired_rms_norm_rope_kernel(Rotation call, const T* x, const T* weight, float eps,
                                            T* normed, T* rotated, KvWrite write, Fault* fault) {
  constexpr int kDim = 2 * kPairs * kLanes;
  call.is_settled ? let_next_kernel_begin() : wait_for_earlier_kernels();
  const Place at = place();
  const bool has_row = at.row < call.tokens * call.heads;
  const int64_t row = has_row ? at.row : 0;
  const int64_t token = row / call.heads;
  const int64_t position = __ldcg(call.positions + token);
  const bool is_there = position >= 0 && position < call.table;
  const int64_t turn = (is_there ? position : 0) * (kDim / 2) + at.lane;
  const int64_t first = row * kDim + at.lane;
  float values[2 * kPairs];
  float weights[2 * kPairs];
  float cosines[kPairs];
  float sines[kPairs];
  T kept[2 * kPairs];  // of v
#pragma unroll
  for (int j = 0; j < 2 * kPairs; ++j) {
    values[j] = load(load_past_cache(x + first + j * kLanes));
    weights[j] = load(weight[j * kLanes + at.lane]);
  }
#pragma unroll
  for (int j = 0; j < kPairs; ++j) {
    cosines[j] = call.cos[turn + j * kLanes];
    sines[j] = call.sin[turn + j * kLanes];
  }
  int64_t slot = -1;
  if (write.slots != nullptr) {
    slot = find_slot(write, token, has_row && at.lane == 0 && row % call.heads == 0, fault);
#pragma unroll
    for (int j = 0; j < 2 * kPairs; ++j) {
      kept[j] = load_past_cache(static_cast<const T*>(write.v) + first + j * kLanes);
    }
  }
  float partial = 0.0f;
#pragma unroll
  for (int j = 0; j < 2 * kPairs; ++j) partial = partial + values[j] * values[j];
  const float squares = __shfl_sync(0xffffffffu, fold_lanes<kLanes>(partial), 0, kLanes);
  const float r = 1.0f / sqrtf(squares / static_cast<float>(kDim) + eps);
  T turned[2 * kPairs];
  T rounded[2 * kPairs];
#pragma unroll
  for (int j = 0; j < 2 * kPairs; ++j) {
    store(weights[j] * round_as<T>(values[j] * r), rounded[j]);
    values[j] = load(rounded[j]);
  }
#pragma unroll
  for (int j = 0; j < kPairs; ++j) {
    const float x1 = values[j];
    const float x2 = values[j + kPairs];
    store(x1 * cosines[j] - x2 * sines[j], turned[j]);
    store(x2 * cosines[j] + x1 * sines[j], turned[j + kPairs]);
  }
  if (call.is_settled) wait_before_writing();
  if (!has_row) return;
  check_position(call, row, at.lane, fault);
#pragma unroll
  for (int j = 0; j < 2 * kPairs; ++j) normed[first + j * kLanes] = rounded[j];
  if (!is_there) return;
#pragma unroll
  for (int j = 0; j < 2 * kPairs; ++j) rotated[first + j * kLanes] = turned[j];
  if (slot < 0) return;
  const int64_t to = (slot * call.heads + row % call.heads) * kDim + at.lane;
#pragma unroll
  for (int j = 0; j < 2 * kPairs; ++j) {
    static_cast<T*>(write.k_cache)[to + j * kLanes] = turned[j];
    static_cast<T*>(write.v_cache)[to + j * kLanes] = kept[j];
  }
}

}  // namespace

void rms_norm(const Rows& size, const void* x, const void* weight, void* y, float eps,
              bool fused_rounding, cudaStream_t stream) {
  if (size.rows == 0) return;
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
    launch_in_order(rms_norm_dgrad_kernel<T>, blocks_for(size.rows), kThreads, 0, stream, size.rows,
                    size.dim, static_cast<const T*>(dy), static_cast<const T*>(x),
                    static_cast<const T*>(weight), static_cast<T*>(dx), eps);
  });
}

void rms_norm_wgrad(const Rows& size, const void* dy, const void* x, void* dweight, float eps,
                    float* workspace, cudaStream_t stream) {
  constexpr unsigned kColumns = 128;
  const auto column_blocks = static_cast<unsigned>((size.dim + kColumns - 1) / kColumns);
  const auto row_blocks =
      static_cast<unsigned>((size.rows + kRmsNormBlockRows - 1) / kRmsNormBlockRows);
  float* r = workspace;
  float* sums = workspace + size.rows;
  with_element(size.bf16, [&](auto element) {
    using T = decltype(element);
    const auto* from = static_cast<const T*>(x);
    if (size.rows > 0) {
      launch_in_order(inverse_rms_kernel<T>, blocks_for(size.rows), kThreads, 0, stream, size.rows,
                      size.dim, from, r, eps);
      launch_in_order(wgrad_block_kernel<T>, dim3(column_blocks, row_blocks), kColumns, 0, stream,
                      size.rows, size.dim, static_cast<const T*>(dy), from, r, sums);
    }
    launch_in_order(wgrad_sum_kernel<T>, column_blocks, kColumns, 0, stream, row_blocks, size.dim,
                    sums, static_cast<T*>(dweight));
  });
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

void rms_norm_rope(const Rotation& call, const void* x, const void* weight, float eps, void* normed,
                   void* rotated, const KvWrite* write, cudaStream_t stream) {
  const int64_t rows = call.tokens * call.heads;
  if (rows == 0) return;
  with_element(call.bf16, [&](auto element) {
    using T = decltype(element);
    const auto run = [&](auto kernel, auto... more) {
      launch(kernel, dim3(blocks_for(rows)), kThreads, 0, stream, call, static_cast<const T*>(x),
             static_cast<const T*>(weight), eps, static_cast<T*>(normed), static_cast<T*>(rotated),
             more..., fault_record());
    };
    const KvWrite to = write == nullptr ? KvWrite{} : *write;
    if (call.dim == 64) return run(paired_rms_norm_rope_kernel<T, 2>, to);
    if (call.dim == 128) return run(paired_rms_norm_rope_kernel<T, 4>, to);
    run(rms_norm_rope_kernel<T>);
    if (write != nullptr) write_kv(*write, rotated, stream);
  });
}

}  // namespace samebits::cuda
