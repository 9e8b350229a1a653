// linear.h where one side has few rows, as in decode: the time is that of reading the other side
// once. A warp has 16 rows of the long side, all of the short one, and one slice of k, which it
// brings into shared memory by itself, so far ahead as there is room.

#include "harness/kernels/cuda/gemm.cuh"
#include "harness/kernels/cuda/launch.cuh"

namespace samebits::cuda {
namespace {

constexpr int kRows = 16;
constexpr int kMaxSlices = 8;  // of a block: a warp each

template <int kN, int kDepth, int kStages, int kWarps>
__global__ void __launch_bounds__(kWarps * 32)
    gemm_skinny_kernel(Problem p, bool a_aligned, bool b_aligned) {
  using ATile = OperandTile<kRows, kDepth, true>;
  using BTile = OperandTile<kN, kDepth, true>;
  constexpr int kStageElements = ATile::kElements + BTile::kElements;
  extern __shared__ __align__(128) uint16_t shared[];
  wait_for_earlier_kernels();

  const int lane = static_cast<int>(threadIdx.x % 32);
  const int slice = static_cast<int>(threadIdx.x / 32);
  const int64_t first_row = static_cast<int64_t>(blockIdx.x) * kRows;
  const int64_t first_k = slice * p.width;
  const int64_t k_end = slice >= p.slices ? first_k : min(first_k + p.width, p.k);
  const int tiles = static_cast<int>((k_end - first_k + kDepth - 1) / kDepth);
  uint16_t* ring = shared + slice * kStages * kStageElements;

  const auto fetch = [&](int tile) {
    if (tile < tiles) {
      uint16_t* stage = ring + tile % kStages * kStageElements;
      const int64_t k = first_k + static_cast<int64_t>(tile) * kDepth;
      ATile::template fill<32>(lane, stage, p.a, a_aligned, first_row, p.m, k, k_end);
      BTile::template fill<32>(lane, stage + ATile::kElements, p.b, b_aligned, 0, p.n, k, k_end);
    }
    commit_copies();
  };

  float c[kN / 8][4] = {};
  for (int tile = 0; tile < kStages - 1; ++tile) fetch(tile);
  for (int tile = 0; tile < tiles; ++tile) {
    wait_copies<kStages - 2>();
    __syncwarp();
    fetch(tile + kStages - 1);
    uint16_t* stage = ring + tile % kStages * kStageElements;
    const SharedTile<kDepth> a_tile{stage};
    const SharedTile<kDepth> b_tile{stage + ATile::kElements};
#pragma unroll
    for (int k = 0; k < kDepth; k += 16) {
      uint32_t a[4];
      a_tile.a_fragment(a, 0, k, lane);
#pragma unroll
      for (int j = 0; j < kN / 16; ++j) {
        uint32_t b[4];
        b_tile.b_fragments(b, j * 16, k, lane);
        step(c[2 * j], a, b[0], b[1]);
        step(c[2 * j + 1], a, b[2], b[3]);
      }
    }
    __syncwarp();  // the stage may be filled again
  }

  const auto for_each = [&](auto f) {
#pragma unroll
    for (int j = 0; j < kN / 8; ++j) {
#pragma unroll
      for (int e = 0; e < 4; ++e) f(lane / 4 + e / 2 * 8, j * 8 + lane % 4 * 2 + e % 2, c[j][e]);
    }
  };
  if constexpr (kWarps == 1) {
    for_each(
        [&](int row, int column, float value) { write(p, 0, first_row + row, column, value); });
  } else {
    constexpr int kResults = kRows * kN;
    auto* parts = reinterpret_cast<float*>(shared);  // [kWarps][kN][kRows]
    wait_copies<0>();
    __syncthreads();
    for_each([&](int row, int column, float value) {
      parts[slice * kResults + column * kRows + row] = value;
    });
    __syncthreads();
    for (int i = static_cast<int>(threadIdx.x); i < kResults; i += kWarps * 32) {
      const float sum = join_slices(p.slices, [&](int64_t s) { return parts[s * kResults + i]; });
      write(p, 0, first_row + i % kRows, i / kRows, sum);
    }
  }
}

template <int kN, int kDepth, int kStages, int kWarps>
void launch_skinny(const Problem& p, cudaStream_t stream) {
  constexpr size_t kBytes = kWarps * kStages * (kRows + kN) * kDepth * sizeof(uint16_t);
  static_assert(kBytes <= 227 * 1024 && kWarps * kRows * kN * sizeof(float) <= kBytes);
  const auto kernel = gemm_skinny_kernel<kN, kDepth, kStages, kWarps>;
  allow_shared_memory(kernel, kBytes);
  launch(kernel, dim3(static_cast<unsigned>((p.m + kRows - 1) / kRows)), kWarps * 32, kBytes,
         stream, p, is_aligned(p.a, p.width), is_aligned(p.b, p.width));
}

}  // namespace

bool is_skinny(const Problem& p) {
  return p.a.k_stride == 1 && p.b.k_stride == 1 && p.n <= 48 && p.slices <= kMaxSlices && p.k > 0;
}

void gemm_skinny(const Problem& p, cudaStream_t stream) {
  if (p.slices == 1) {
    return p.n <= 16 ? launch_skinny<16, 128, 6, 1>(p, stream)
                     : launch_skinny<48, 128, 4, 1>(p, stream);
  }
  p.n <= 16 ? launch_skinny<16, 64, 6, kMaxSlices>(p, stream)
            : launch_skinny<48, 64, 3, kMaxSlices>(p, stream);
}

}  // namespace samebits::cuda
