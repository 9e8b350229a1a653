// linear.h where one side has few rows, as in decode: the time is that of reading the other side
// once, and of the longest chain. A warp has 16 rows of the long side, all of the short one, and
// one slice of k. It needs nothing from other threads on the way, so operands go straight from
// memory to registers, a batch of steps ahead of the chain.

#include <algorithm>

#include "harness/kernels/cuda/gemm.cuh"
#include "harness/kernels/cuda/launch.cuh"

namespace samebits::cuda {
namespace {

constexpr int kRows = 16;
constexpr int kMaxSlices = 8;

// A thread's share of one step, of 16 rows and of kN columns: four neighbouring k of each row that
// it holds. The step adds its 16 terms in any order, so both operands may have them in this one.
template <int kN>
struct Share {
  uint2 a[2];
  uint2 b[kN / 8];
};

template <int kN>
struct ShareSource {
  const uint16_t* a[2];
  const uint16_t* b[kN / 8];

  // Rows and columns that are not there read the last one; their results are not written.
  __device__ ShareSource(const Problem& p, int64_t first_row, int64_t first_k, int lane) {
    const auto place = [&](const Operand& x, int64_t rows, int64_t row) {
      const int64_t there = row < rows ? row : rows - 1;
      return static_cast<const uint16_t*>(x.data) + there * x.row_stride + first_k + lane % 4 * 4;
    };
#pragma unroll
    for (int i = 0; i < 2; ++i) a[i] = place(p.a, p.m, first_row + lane / 4 + i * 8);
#pragma unroll
    for (int j = 0; j < kN / 8; ++j) b[j] = place(p.b, p.n, lane / 4 + j * 8);
  }

  __device__ Share<kN> read(int step) const {
    Share<kN> share;
    const auto four = [step](const uint16_t* from) {
      return __ldg(reinterpret_cast<const uint2*>(from + step * 16));
    };
#pragma unroll
    for (int i = 0; i < 2; ++i) share.a[i] = four(a[i]);
#pragma unroll
    for (int j = 0; j < kN / 8; ++j) share.b[j] = four(b[j]);
    return share;
  }
};

template <int kN>
__device__ void take(const Share<kN>& share, float (&c)[kN / 8][4]) {
  const uint32_t a[4] = {share.a[0].x, share.a[1].x, share.a[0].y, share.a[1].y};
#pragma unroll
  for (int j = 0; j < kN / 8; ++j) step(c[j], a, share.b[j].x, share.b[j].y);
}

// The chain of `steps` steps, in two batches that take turns: one is read while the other is used.
template <int kN, int kBatch>
__device__ void chain(const ShareSource<kN>& source, int steps, float (&c)[kN / 8][4]) {
  Share<kN> batches[2][kBatch];
  const auto read = [&](Share<kN>(&batch)[kBatch], int first) {
#pragma unroll
    for (int i = 0; i < kBatch; ++i) {
      if (first + i < steps) batch[i] = source.read(first + i);
    }
  };
  const auto use = [&](const Share<kN>(&batch)[kBatch], int first) {
#pragma unroll
    for (int i = 0; i < kBatch; ++i) {
      if (first + i < steps) take(batch[i], c);
    }
  };
  read(batches[0], 0);
  for (int first = 0; first < steps; first += 2 * kBatch) {
    read(batches[1], first + kBatch);
    use(batches[0], first);
    read(batches[0], first + 2 * kBatch);
    use(batches[1], first + kBatch);
  }
}

template <int kN, typename F>
__device__ void for_each_result(const float (&c)[kN / 8][4], int lane, F f) {
#pragma unroll
  for (int j = 0; j < kN / 8; ++j) {
#pragma unroll
    for (int e = 0; e < 4; ++e) f(lane / 4 + e / 2 * 8, j * 8 + lane % 4 * 2 + e % 2, c[j][e]);
  }
}

// One chain: the warps of a block have rows of their own.
template <int kN, int kBatch, int kWarps>
__global__ void __launch_bounds__(kWarps * 32) one_chain_kernel(Problem p) {
  wait_for_earlier_kernels();
  const int lane = static_cast<int>(threadIdx.x % 32);
  const int64_t first_row = (static_cast<int64_t>(blockIdx.x) * kWarps + threadIdx.x / 32) * kRows;
  float c[kN / 8][4] = {};
  chain<kN, kBatch>(ShareSource<kN>(p, first_row, 0, lane), static_cast<int>(p.k / 16), c);
  for_each_result<kN>(c, lane, [&](int row, int column, float value) {
    write(p, 0, first_row + row, column, value);
  });
}

// Slices: the warps of a block have the same rows, a slice each, and join them.
template <int kN, int kBatch>
__global__ void __launch_bounds__(kMaxSlices * 32) slices_kernel(Problem p) {
  constexpr int kResults = kRows * kN;
  __shared__ float parts[kMaxSlices * kResults];  // [slice][column][row]
  wait_for_earlier_kernels();
  const int lane = static_cast<int>(threadIdx.x % 32);
  const int slice = static_cast<int>(threadIdx.x / 32);
  const int64_t first_row = static_cast<int64_t>(blockIdx.x) * kRows;
  const int64_t first_k = slice * p.width;
  if (slice < p.slices) {
    float c[kN / 8][4] = {};
    const auto steps = static_cast<int>(min(p.width, p.k - first_k) / 16);
    chain<kN, kBatch>(ShareSource<kN>(p, first_row, first_k, lane), steps, c);
    for_each_result<kN>(c, lane, [&](int row, int column, float value) {
      parts[slice * kResults + column * kRows + row] = value;
    });
  }
  __syncthreads();
  for (int i = static_cast<int>(threadIdx.x); i < kResults; i += kMaxSlices * 32) {
    const float sum = join_slices(p.slices, [&](int64_t s) { return parts[s * kResults + i]; });
    write(p, 0, first_row + i % kRows, i / kRows, sum);
  }
}

template <int kN, int kBatch>
void launch_skinny(const Problem& p, cudaStream_t stream) {
  constexpr int kWarps = 4;
  constexpr int64_t kManyWarps = 132 * 16;  // more than are at work at once anyway
  const int64_t warps = (p.m + kRows - 1) / kRows;
  if (p.slices > 1) {
    launch(slices_kernel<kN, kBatch>, dim3(static_cast<unsigned>(warps)), kMaxSlices * 32, 0,
           stream, p);
  } else if (warps < kManyWarps) {
    launch(one_chain_kernel<kN, kBatch, 1>, dim3(static_cast<unsigned>(warps)), 32, 0, stream, p);
  } else {
    launch(one_chain_kernel<kN, kBatch, kWarps>,
           dim3(static_cast<unsigned>((warps + kWarps - 1) / kWarps)), kWarps * 32, 0, stream, p);
  }
}

}  // namespace

bool is_skinny(const Problem& p) {
  const auto has_fours = [](const Operand& x) {
    return x.k_stride == 1 && x.row_stride % 4 == 0 &&
           reinterpret_cast<uintptr_t>(x.data) % sizeof(uint2) == 0;
  };
  return has_fours(p.a) && has_fours(p.b) && p.n <= 48 && p.slices <= kMaxSlices && p.k > 0 &&
         p.k % 16 == 0 && p.width % 16 == 0;
}

void gemm_skinny(const Problem& p, cudaStream_t stream) {
  if (p.n <= 8) return launch_skinny<8, 12>(p, stream);
  if (p.n <= 16) return launch_skinny<16, 10>(p, stream);
  if (p.n <= 32) return launch_skinny<32, 6>(p, stream);
  launch_skinny<48, 5>(p, stream);
}

}  // namespace samebits::cuda
