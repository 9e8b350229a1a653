// linear.h on the card. One block computes one tile of the result over one slice of k; where there
// are several slices, their float32 sums go to a workspace and a second kernel joins them by the
// tree. Which tile a shape gets decides speed alone: the chain is the same in all of them.

#include <optional>
#include <utility>

#include "harness/kernels/cuda/gemm/gemm.cuh"
#include "harness/kernels/cuda/gemm/launchers.h"
#include "harness/kernels/cuda/runtime/launch.cuh"

namespace samebits::cuda {
namespace {

// ---- bf16: the tensor core's step --------------------------------------------------------------
template <int kM, int kN, int kDepth, int kStages, int kWarpsM, int kWarpsN, bool kAByRows,
          bool kBByRows>
__global__ void __launch_bounds__(kWarpsM* kWarpsN * 32)
    gemm_bf16_kernel(Problem p, bool a_aligned, bool b_aligned) {
  constexpr int kThreads = kWarpsM * kWarpsN * 32;
  constexpr int kWarpM = kM / kWarpsM;
  constexpr int kWarpN = kN / kWarpsN;
  constexpr int kFragmentsM = kWarpM / 16;
  constexpr int kFragmentsN = kWarpN / 8;
  static_assert(kWarpM % 16 == 0 && kWarpN % 16 == 0);
  using ATile = OperandTile<kM, kDepth, kAByRows>;
  using BTile = OperandTile<kN, kDepth, kBByRows>;
  extern __shared__ __align__(128) uint16_t shared[];
  constexpr int kStageElements = ATile::kElements + BTile::kElements;

  const int thread = static_cast<int>(threadIdx.x);
  const int lane = thread % 32;
  const int warp = thread / 32;
  const int warp_m = warp / kWarpsN * kWarpM;
  const int warp_n = warp % kWarpsN * kWarpN;
  const int64_t first_m = static_cast<int64_t>(blockIdx.x) * kM;
  const int64_t first_n = static_cast<int64_t>(blockIdx.y) * kN;
  const TokenRange range = range_of(p, blockIdx.z);
  const int64_t first_k = range.first;
  const int64_t k_end = range.end;
  const int tiles = static_cast<int>((k_end - first_k + kDepth - 1) / kDepth);

  const auto fetch = [&](int tile) {
    if (tile < tiles) {
      uint16_t* stage = shared + tile % kStages * kStageElements;
      const int64_t k = first_k + static_cast<int64_t>(tile) * kDepth;
      ATile::template fill<kThreads>(thread, stage, p.a, a_aligned, first_m, p.m, k, k_end);
      BTile::template fill<kThreads>(thread, stage + ATile::kElements, p.b, b_aligned, first_n, p.n,
                                     k, k_end);
    }
    commit_copies();
  };

  const int64_t own_m = first_m + warp_m + lane / 4;
  const int64_t own_n = first_n + warp_n + lane % 4 * 2;
  float c[kFragmentsM][kFragmentsN][4];
#pragma unroll
  for (int i = 0; i < kFragmentsM; ++i) {
#pragma unroll
    for (int j = 0; j < kFragmentsN; ++j) {
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        c[i][j][e] = start_of(p, own_m + i * 16 + e / 2 * 8, own_n + j * 8 + e % 2);
      }
    }
  }
  for (int tile = 0; tile < kStages - 1; ++tile) fetch(tile);
  for (int tile = 0; tile < tiles; ++tile) {
    wait_copies<kStages - 2>();
    __syncthreads();
    fetch(tile + kStages - 1);
    uint16_t* stage = shared + tile % kStages * kStageElements;
    const SharedTile<ATile::kColumns> a_tile{stage};
    const SharedTile<BTile::kColumns> b_tile{stage + ATile::kElements};
#pragma unroll
    for (int k = 0; k < kDepth; k += 16) {
      uint32_t a[kFragmentsM][4];
      uint32_t b[kFragmentsN / 2][4];
#pragma unroll
      for (int i = 0; i < kFragmentsM; ++i) {
        if constexpr (kAByRows) {
          a_tile.a_fragment(a[i], warp_m + i * 16, k, lane);
        } else {
          a_tile.a_fragment_of_transposed(a[i], warp_m + i * 16, k, lane);
        }
      }
#pragma unroll
      for (int j = 0; j < kFragmentsN / 2; ++j) {
        if constexpr (kBByRows) {
          b_tile.b_fragments(b[j], warp_n + j * 16, k, lane);
        } else {
          b_tile.b_fragments_of_transposed(b[j], warp_n + j * 16, k, lane);
        }
      }
#pragma unroll
      for (int i = 0; i < kFragmentsM; ++i) {
#pragma unroll
        for (int j = 0; j < kFragmentsN; ++j) {
          step(c[i][j], a[i], b[j / 2][j % 2 * 2], b[j / 2][j % 2 * 2 + 1]);
        }
      }
    }
  }
#pragma unroll
  for (int i = 0; i < kFragmentsM; ++i) {
#pragma unroll
    for (int j = 0; j < kFragmentsN; ++j) {
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        write(p, blockIdx.z, own_m + i * 16 + e / 2 * 8, own_n + j * 8 + e % 2, c[i][j][e]);
      }
    }
  }
}

template <int kM, int kN, int kDepth, int kStages, int kWarpsM, int kWarpsN, bool kAByRows,
          bool kBByRows>
void launch_bf16(const Problem& p, cudaStream_t stream) {
  constexpr size_t kBytes = kStages * (kM + kN) * kDepth * sizeof(uint16_t);
  const auto kernel =
      gemm_bf16_kernel<kM, kN, kDepth, kStages, kWarpsM, kWarpsN, kAByRows, kBByRows>;
  allow_shared_memory(kernel, kBytes);
  const dim3 grid(static_cast<unsigned>((p.m + kM - 1) / kM),
                  static_cast<unsigned>((p.n + kN - 1) / kN), static_cast<unsigned>(p.slices));
  launch_in_order(kernel, grid, kWarpsM * kWarpsN * 32, kBytes, stream, p, is_aligned(p.a, p.width),
                  is_aligned(p.b, p.width));
}

template <bool kAByRows, bool kBByRows>
void choose_tile(const Problem& p, cudaStream_t stream) {
  constexpr int64_t kManyTiles = 132;  // a block for each multiprocessor
  const int64_t large = (p.m + 127) / 128 * ((p.n + 127) / 128) * p.slices;
  if (large >= kManyTiles) {
    launch_bf16<128, 128, 64, 3, 2, 4, kAByRows, kBByRows>(p, stream);
  } else {
    launch_bf16<64, 64, 64, 4, 2, 2, kAByRows, kBByRows>(p, stream);
  }
}

void gemm_bf16(const Problem& p, cudaStream_t stream) {
  const bool a_by_rows = p.a.k_stride == 1;
  const bool b_by_rows = p.b.k_stride == 1;
  if (a_by_rows && b_by_rows) return choose_tile<true, true>(p, stream);
  if (a_by_rows) return choose_tile<true, false>(p, stream);
  if (b_by_rows) return choose_tile<false, true>(p, stream);
  choose_tile<false, false>(p, stream);
}

// ---- float32: fmaf, k ascending ----------------------------------------------------------------
constexpr int kTile = 64;
constexpr int kTileDepth = 16;
constexpr int kOwn = 4;  // results of a thread, squared
constexpr int kF32Threads = kTile / kOwn * (kTile / kOwn);

__device__ void fill_f32(float (*to)[kTile + 1], const Operand& operand, int64_t first_row,
                         int64_t rows, int64_t first_k, int depth) {
  const auto* from = static_cast<const float*>(operand.data);
  for (int i = static_cast<int>(threadIdx.x); i < kTile * kTileDepth; i += kF32Threads) {
    const int row = operand.k_stride == 1 ? i / kTileDepth : i % kTile;
    const int k = operand.k_stride == 1 ? i % kTileDepth : i / kTile;
    to[k][row] =
        first_row + row < rows && k < depth
            ? from[(first_row + row) * operand.row_stride + (first_k + k) * operand.k_stride]
            : 0.0f;
  }
}

__global__ void __launch_bounds__(kF32Threads) gemm_f32_kernel(Problem p) {
  __shared__ float a[kTileDepth][kTile + 1];
  __shared__ float b[kTileDepth][kTile + 1];
  const int64_t first_m = static_cast<int64_t>(blockIdx.x) * kTile;
  const int64_t first_n = static_cast<int64_t>(blockIdx.y) * kTile;
  const TokenRange range = range_of(p, blockIdx.z);
  const int64_t first_k = range.first;
  const int64_t k_end = range.end;
  const int m = static_cast<int>(threadIdx.x) / (kTile / kOwn);
  const int n = static_cast<int>(threadIdx.x) % (kTile / kOwn);
  float c[kOwn][kOwn];
#pragma unroll
  for (int i = 0; i < kOwn; ++i) {
#pragma unroll
    for (int j = 0; j < kOwn; ++j) {
      c[i][j] = start_of(p, first_m + m + i * (kTile / kOwn), first_n + n + j * (kTile / kOwn));
    }
  }
  for (int64_t k = first_k; k < k_end; k += kTileDepth) {
    // No more terms than there are: fmaf(0, 0, -0) would be +0.
    const int depth = static_cast<int>(k_end - k < kTileDepth ? k_end - k : kTileDepth);
    __syncthreads();
    fill_f32(a, p.a, first_m, p.m, k, depth);
    fill_f32(b, p.b, first_n, p.n, k, depth);
    __syncthreads();
    for (int d = 0; d < depth; ++d) {
#pragma unroll
      for (int i = 0; i < kOwn; ++i) {
#pragma unroll
        for (int j = 0; j < kOwn; ++j) {
          c[i][j] = fmaf(a[d][m + i * (kTile / kOwn)], b[d][n + j * (kTile / kOwn)], c[i][j]);
        }
      }
    }
  }
#pragma unroll
  for (int i = 0; i < kOwn; ++i) {
#pragma unroll
    for (int j = 0; j < kOwn; ++j) {
      write(p, blockIdx.z, first_m + m + i * (kTile / kOwn), first_n + n + j * (kTile / kOwn),
            c[i][j]);
    }
  }
}

// ---- slices ------------------------------------------------------------------------------------
template <typename T>
__global__ void join_slices_kernel(const float* parts, int64_t slices, int64_t count, T* out) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= count) return;
  store(join_slices(slices, [&](int64_t s) { return parts[s * count + i]; }), out[i]);
}

// Of groups to which rows are added.
__global__ void join_groups_kernel(Problem p, const float* parts, float* out) {
  const int64_t count = p.m * p.n;
  const int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= count) return;
  store(join_slices(
            p.slices,
            [&](int64_t s) { return added_at(p, s, i / p.n, i % p.n) + parts[s * count + i]; }),
        out[i]);
}

template <typename T>
void join_all(const float* parts, int64_t slices, int64_t count, void* out, cudaStream_t stream) {
  constexpr int kThreads = 256;
  const auto blocks = static_cast<unsigned>((count + kThreads - 1) / kThreads);
  launch_in_order(join_slices_kernel<T>, blocks, kThreads, 0, stream, parts, slices, count,
                  static_cast<T*>(out));
}

void join_added(const Problem& p, const float* parts, float* out, cudaStream_t stream) {
  constexpr int kThreads = 256;
  const auto blocks = static_cast<unsigned>((p.m * p.n + kThreads - 1) / kThreads);
  launch_in_order(join_groups_kernel, blocks, kThreads, 0, stream, p, parts, out);
}

// ---- sequences ---------------------------------------------------------------------------------
constexpr int kPadThreads = 128;

// One block a row of the result.
__global__ void pad_sequences_kernel(Sequences call, const uint16_t* from, int64_t columns,
                                     uint16_t* to, Fault* fault) {
  const int64_t row = blockIdx.x;
  int64_t source = -1;
  int64_t first = 0;  // row of the sequence
  for (int64_t s = 0; s < call.groups * call.count && first <= row; ++s) {
    const TokenRange tokens = tokens_of(call, s, fault);
    const int64_t length = tokens.end - tokens.first;
    if (row - first < length) source = tokens.first + row - first;
    first += (length + 15) / 16 * 16;
  }
  for (int64_t i = threadIdx.x; i < columns; i += kPadThreads) {
    to[row * columns + i] = source < 0 ? uint16_t{0} : from[source * columns + i];
  }
}

Problem problem_of(const Gemm& call) {
  Problem p{};
  p.a = call.a;
  p.b = call.b;
  p.m = call.m;
  p.n = call.n;
  p.k = call.k;
  p.slices = call.slice == 0 || call.k == 0 ? 1 : (call.k + call.slice - 1) / call.slice;
  p.width = p.slices == 1 ? call.k : call.slice;
  p.sequences = call.sequences;
  if (p.sequences.starts == nullptr) p.sequences.tokens = call.k;
  if (p.sequences.groups > 1) p.slices = p.sequences.groups;
  p.is_padded = call.is_padded;
  p.added = call.added;
  p.fault = fault_record();
  p.out = call.out;
  p.out_row = call.n;
  p.out_column = 1;
  p.bf16_out = call.bf16_out;
  p.a_is_settled = call.a_is_settled;
  p.b_is_settled = call.b_is_settled;
  p.residual = static_cast<const Bf16*>(call.residual);
  p.sum = static_cast<Bf16*>(call.sum);
  p.onto = call.onto;
  return p;
}

// The longer side lies along the step's 16 rows and the grid's x, which has the larger limit.
// Products commute, so the bits stay.
Problem with_longer_side_first(const Problem& p) {
  if (p.n <= p.m) return p;
  Problem swapped = p;
  std::swap(swapped.a, swapped.b);
  std::swap(swapped.m, swapped.n);
  std::swap(swapped.out_row, swapped.out_column);
  std::swap(swapped.a_is_settled, swapped.b_is_settled);
  return swapped;
}

// As the large kernel takes it, if it does: with rows of the result that lie together, unless one
// side is too short for that.
std::optional<Problem> large_problem(const Gemm& call) {
  if (!call.bf16) return std::nullopt;
  const Problem plain = problem_of(call);
  if (is_large(plain)) return plain;
  const Problem swapped = with_longer_side_first(plain);
  // Rows are added to the result's own.
  if (call.added.slots == nullptr && is_large(swapped)) return swapped;
  return std::nullopt;
}

// What is no weight's gradient.
bool is_skinny_product(const Gemm& call, const Problem& p) {
  return call.bf16 && !p.onto && p.sequences.groups == 1 && is_skinny(p);
}

}  // namespace

void pad_sequences(const Sequences& call, const uint16_t* from, int64_t columns, uint16_t* to,
                   int64_t rows, cudaStream_t stream) {
  if (rows == 0 || columns == 0) return;
  launch_in_order(pad_sequences_kernel, static_cast<unsigned>(rows), kPadThreads, 0, stream, call,
                  from, columns, to, fault_record());
}

bool gemm_takes_sequences(const Gemm& call) { return large_problem(call).has_value(); }

int64_t gemm_workspace(const Gemm& call) {
  const Problem p = with_longer_side_first(problem_of(call));
  const bool joins_itself = large_problem(call) || is_skinny_product(call, p);
  return p.slices == 1 || joins_itself ? 0 : p.slices * p.m * p.n;
}

bool gemm_adds(const Gemm& call) {
  return call.bf16_out && !large_problem(call) &&
         is_skinny_product(call, with_longer_side_first(problem_of(call)));
}

void gemm(const Gemm& call, cudaStream_t stream) {
  if (call.m == 0 || call.n == 0) return;
  if (const auto large = large_problem(call)) return gemm_large(*large, stream);
  Problem p = with_longer_side_first(problem_of(call));
  if (is_skinny_product(call, p)) return gemm_skinny(p, stream);
  if (p.slices > 1) {
    p.out = call.workspace;
    p.out_slice = call.m * call.n;
    p.bf16_out = false;
  }
  if (call.bf16) {
    gemm_bf16(p, stream);
  } else {
    const dim3 grid(static_cast<unsigned>((p.m + kTile - 1) / kTile),
                    static_cast<unsigned>((p.n + kTile - 1) / kTile),
                    static_cast<unsigned>(p.slices));
    launch_in_order(gemm_f32_kernel, grid, kF32Threads, 0, stream, p);
  }
  if (p.slices == 1) return;
  if (call.added.slots != nullptr) {
    join_added(problem_of(call), call.workspace, static_cast<float*>(call.out), stream);
  } else if (call.bf16_out) {
    join_all<Bf16>(call.workspace, p.slices, p.out_slice, call.out, stream);
  } else {
    join_all<float>(call.workspace, p.slices, p.out_slice, call.out, stream);
  }
}

}  // namespace samebits::cuda
