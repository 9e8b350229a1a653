// linear.h on the card. One block computes one tile of the result over one slice of k; where there
// are several slices, their float32 sums go to a workspace and a second kernel joins them by the
// tree. Which tile a shape gets decides speed alone: the chain is the same in all of them.

#include <algorithm>

#include "harness/kernels/cuda/device.cuh"
#include "harness/kernels/cuda/launchers.h"
#include "harness/kernels/cuda/mma.cuh"

namespace samebits::cuda {
namespace {

// What one launch needs. Slices are the grid's z.
struct Problem {
  const void* a;
  const void* b;
  int64_t a_stride, b_stride;  // of the dimension that is not contiguous
  int64_t m, n, k;
  int64_t width;  // of a slice, the last one may be shorter
  void* out;
  int64_t out_row, out_column;  // strides
  int64_t out_slice;            // elements between the results of two slices
  bool bf16_out;
};

__device__ void write(const Problem& p, int64_t row, int64_t column, float value) {
  if (row >= p.m || column >= p.n) return;
  const int64_t at = blockIdx.z * p.out_slice + row * p.out_row + column * p.out_column;
  if (p.bf16_out) {
    store(value, static_cast<Bf16*>(p.out)[at]);
  } else {
    store(value, static_cast<float*>(p.out)[at]);
  }
}

// ---- bf16: the tensor core's step --------------------------------------------------------------
// Tiles in shared memory keep the layout of global memory: [row][k] where k is contiguous, [k][row]
// where rows are.
template <int kRows, int kDepth, bool kByRows>
struct OperandTile {
  static constexpr int kColumns = kByRows ? kDepth : kRows;
  static constexpr int kLines = kByRows ? kRows : kDepth;
  static constexpr int kElements = kLines * kColumns;
  static constexpr int kChunks = kElements / 8;

  // Rows first_row .. and k first_k .. of the operand; what lies past its rows or k_end is zero.
  template <int kThreads>
  __device__ static void fill(uint16_t* to, const uint16_t* from, int64_t stride, bool is_aligned,
                              int64_t first_row, int64_t rows, int64_t first_k, int64_t k_end) {
    const SharedTile<kColumns> tile{to};
    const int64_t first_line = kByRows ? first_row : first_k;
    const int64_t lines = kByRows ? rows : k_end;
    const int64_t first_column = kByRows ? first_k : first_row;
    const int64_t columns = kByRows ? k_end : rows;
    for (int i = static_cast<int>(threadIdx.x); i < kChunks; i += kThreads) {
      const int line = i / (kColumns / 8);
      const int column = i % (kColumns / 8) * 8;
      const int64_t left = columns - first_column - column;
      const int count =
          first_line + line < lines && left > 0 ? static_cast<int>(left < 8 ? left : 8) : 0;
      const uint16_t* source =
          count > 0 ? from + (first_line + line) * stride + first_column + column : from;
      uint16_t* chunk = tile.chunk(line, column);
      if (is_aligned) {
        copy_16(chunk, source, count * 2);
      } else {
        for (int j = 0; j < 8; ++j) chunk[j] = j < count ? source[j] : uint16_t{0};
      }
    }
  }
};

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

  const int lane = static_cast<int>(threadIdx.x % 32);
  const int warp = static_cast<int>(threadIdx.x / 32);
  const int warp_m = warp / kWarpsN * kWarpM;
  const int warp_n = warp % kWarpsN * kWarpN;
  const int64_t first_m = static_cast<int64_t>(blockIdx.x) * kM;
  const int64_t first_n = static_cast<int64_t>(blockIdx.y) * kN;
  const int64_t first_k = blockIdx.z * p.width;
  const int64_t k_end = first_k + p.width < p.k ? first_k + p.width : p.k;
  const int tiles = static_cast<int>((k_end - first_k + kDepth - 1) / kDepth);

  const auto fetch = [&](int tile) {
    if (tile < tiles) {
      uint16_t* stage = shared + tile % kStages * kStageElements;
      const int64_t k = first_k + static_cast<int64_t>(tile) * kDepth;
      ATile::template fill<kThreads>(stage, static_cast<const uint16_t*>(p.a), p.a_stride,
                                     a_aligned, first_m, p.m, k, k_end);
      BTile::template fill<kThreads>(stage + ATile::kElements, static_cast<const uint16_t*>(p.b),
                                     p.b_stride, b_aligned, first_n, p.n, k, k_end);
    }
    commit_copies();
  };

  float c[kFragmentsM][kFragmentsN][4] = {};
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
        write(p, first_m + warp_m + i * 16 + lane / 4 + e / 2 * 8,
              first_n + warp_n + j * 8 + lane % 4 * 2 + e % 2, c[i][j][e]);
      }
    }
  }
}

// Whether every chunk of 8 elements that a tile copies begins at a multiple of 16 bytes.
bool is_aligned(const void* data, int64_t stride, bool by_rows, int64_t slice_width) {
  return reinterpret_cast<uintptr_t>(data) % 16 == 0 && stride % 8 == 0 &&
         (!by_rows || slice_width % 8 == 0);
}

template <int kM, int kN, int kDepth, int kStages, int kWarpsM, int kWarpsN, bool kAByRows,
          bool kBByRows>
void launch_bf16(const Problem& p, int64_t slices, cudaStream_t stream) {
  constexpr size_t kBytes = kStages * (kM + kN) * kDepth * sizeof(uint16_t);
  const auto kernel =
      gemm_bf16_kernel<kM, kN, kDepth, kStages, kWarpsM, kWarpsN, kAByRows, kBByRows>;
  static const cudaError_t allowed =
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes);
  (void)allowed;  // a launch that needs more than it may have fails, and is reported as any other
  const dim3 grid(static_cast<unsigned>((p.m + kM - 1) / kM),
                  static_cast<unsigned>((p.n + kN - 1) / kN), static_cast<unsigned>(slices));
  kernel<<<grid, kWarpsM * kWarpsN * 32, kBytes, stream>>>(
      p, is_aligned(p.a, p.a_stride, kAByRows, p.width),
      is_aligned(p.b, p.b_stride, kBByRows, p.width));
}

template <bool kAByRows, bool kBByRows>
void choose_tile(const Problem& p, int64_t slices, cudaStream_t stream) {
  constexpr int64_t kManyTiles = 132;  // a block for each multiprocessor
  const int64_t large = (p.m + 127) / 128 * ((p.n + 127) / 128) * slices;
  if constexpr (kAByRows && kBByRows) {
    if (p.n <= 16) return launch_bf16<32, 16, 128, 5, 2, 1, kAByRows, kBByRows>(p, slices, stream);
  }
  if (large >= kManyTiles) {
    launch_bf16<128, 128, 64, 3, 2, 4, kAByRows, kBByRows>(p, slices, stream);
  } else {
    launch_bf16<64, 64, 64, 4, 2, 2, kAByRows, kBByRows>(p, slices, stream);
  }
}

void gemm_bf16(const Problem& p, bool a_by_rows, bool b_by_rows, int64_t slices,
               cudaStream_t stream) {
  if (a_by_rows && b_by_rows) return choose_tile<true, true>(p, slices, stream);
  if (a_by_rows) return choose_tile<true, false>(p, slices, stream);
  if (b_by_rows) return choose_tile<false, true>(p, slices, stream);
  choose_tile<false, false>(p, slices, stream);
}

// ---- float32: fmaf, k ascending ----------------------------------------------------------------
constexpr int kTile = 64;
constexpr int kTileDepth = 16;
constexpr int kOwn = 4;  // results of a thread, squared
constexpr int kF32Threads = kTile / kOwn * (kTile / kOwn);

__device__ void fill_f32(float (*to)[kTile + 1], const float* from, int64_t row_stride,
                         int64_t k_stride, int64_t first_row, int64_t rows, int64_t first_k,
                         int depth) {
  for (int i = static_cast<int>(threadIdx.x); i < kTile * kTileDepth; i += kF32Threads) {
    const int row = k_stride == 1 ? i / kTileDepth : i % kTile;
    const int k = k_stride == 1 ? i % kTileDepth : i / kTile;
    to[k][row] = first_row + row < rows && k < depth
                     ? from[(first_row + row) * row_stride + (first_k + k) * k_stride]
                     : 0.0f;
  }
}

__global__ void __launch_bounds__(kF32Threads)
    gemm_f32_kernel(Problem p, int64_t a_k_stride, int64_t b_k_stride) {
  __shared__ float a[kTileDepth][kTile + 1];
  __shared__ float b[kTileDepth][kTile + 1];
  const int64_t first_m = static_cast<int64_t>(blockIdx.x) * kTile;
  const int64_t first_n = static_cast<int64_t>(blockIdx.y) * kTile;
  const int64_t first_k = blockIdx.z * p.width;
  const int64_t k_end = first_k + p.width < p.k ? first_k + p.width : p.k;
  const int m = static_cast<int>(threadIdx.x) / (kTile / kOwn);
  const int n = static_cast<int>(threadIdx.x) % (kTile / kOwn);
  float c[kOwn][kOwn] = {};
  for (int64_t k = first_k; k < k_end; k += kTileDepth) {
    // No more terms than there are: fmaf(0, 0, -0) would be +0.
    const int depth = static_cast<int>(k_end - k < kTileDepth ? k_end - k : kTileDepth);
    __syncthreads();
    fill_f32(a, static_cast<const float*>(p.a), p.a_stride, a_k_stride, first_m, p.m, k, depth);
    fill_f32(b, static_cast<const float*>(p.b), p.b_stride, b_k_stride, first_n, p.n, k, depth);
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
      write(p, first_m + m + i * (kTile / kOwn), first_n + n + j * (kTile / kOwn), c[i][j]);
    }
  }
}

// ---- slices ------------------------------------------------------------------------------------
constexpr int kMaxDepth = 32;

// The sum of the slices of each element by the tree of linear.h: as they come, neighbours of equal
// size are joined, and what is left is joined from the right.
template <typename T>
__global__ void join_slices_kernel(const float* parts, int64_t slices, int64_t count, T* out) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= count) return;
  float sums[kMaxDepth];
  int depth = 0;
  for (int64_t s = 0; s < slices; ++s) {
    sums[depth++] = parts[s * count + i];
    for (int64_t done = s + 1; done % 2 == 0; done /= 2) {
      --depth;
      sums[depth - 1] = sums[depth - 1] + sums[depth];
    }
  }
  while (depth > 1) {
    --depth;
    sums[depth - 1] = sums[depth - 1] + sums[depth];
  }
  store(sums[0], out[i]);
}

// The tree over eight slices, the number that TP invariance cuts, without a loop.
template <typename T>
__global__ void join_eight_slices_kernel(const float* parts, int64_t count, T* out) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= count) return;
  float s[8];
  for (int j = 0; j < 8; ++j) s[j] = parts[j * count + i];
  store(((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7])), out[i]);
}

template <typename T>
void join_slices(const float* parts, int64_t slices, int64_t count, void* out,
                 cudaStream_t stream) {
  constexpr int kThreads = 256;
  const auto blocks = static_cast<unsigned>((count + kThreads - 1) / kThreads);
  if (slices == 8) {
    join_eight_slices_kernel<<<blocks, kThreads, 0, stream>>>(parts, count, static_cast<T*>(out));
  } else {
    join_slices_kernel<<<blocks, kThreads, 0, stream>>>(parts, slices, count, static_cast<T*>(out));
  }
}

int64_t slices_of(int64_t k, int64_t slice) {
  return slice == 0 || k == 0 ? 1 : (k + slice - 1) / slice;
}

}  // namespace

int64_t gemm_workspace(int64_t m, int64_t n, int64_t k, int64_t slice) {
  const int64_t slices = slices_of(k, slice);
  return slices == 1 ? 0 : slices * m * n;
}

void gemm(const Gemm& call, cudaStream_t stream) {
  if (call.m == 0 || call.n == 0) return;
  const int64_t slices = slices_of(call.k, call.slice);
  const int64_t count = call.m * call.n;
  Problem p{};
  p.width = call.slice == 0 ? call.k : call.slice;
  p.k = call.k;
  p.out = slices == 1 ? call.out : call.workspace;
  p.out_slice = count;
  p.bf16_out = slices == 1 && call.bf16_out;
  // The longer side lies along the step's 16 rows and the grid's x, which has the larger limit.
  // Products commute, so the bits stay.
  const bool swap = call.n > call.m;
  const Operand& a = swap ? call.b : call.a;
  const Operand& b = swap ? call.a : call.b;
  p.m = swap ? call.n : call.m;
  p.n = swap ? call.m : call.n;
  p.out_row = swap ? 1 : call.n;
  p.out_column = swap ? call.n : 1;
  p.a = a.data;
  p.b = b.data;
  if (call.bf16) {
    p.a_stride = a.k_stride == 1 ? a.row_stride : a.k_stride;
    p.b_stride = b.k_stride == 1 ? b.row_stride : b.k_stride;
    gemm_bf16(p, a.k_stride == 1, b.k_stride == 1, slices, stream);
  } else {
    p.a_stride = a.row_stride;
    p.b_stride = b.row_stride;
    const dim3 grid(static_cast<unsigned>((p.m + kTile - 1) / kTile),
                    static_cast<unsigned>((p.n + kTile - 1) / kTile),
                    static_cast<unsigned>(slices));
    gemm_f32_kernel<<<grid, kF32Threads, 0, stream>>>(p, a.k_stride, b.k_stride);
  }
  if (slices == 1) return;
  if (call.bf16_out) {
    join_slices<Bf16>(call.workspace, slices, count, call.out, stream);
  } else {
    join_slices<float>(call.workspace, slices, count, call.out, stream);
  }
}

}  // namespace samebits::cuda
