#include "harness/kernels/cuda/gemm/launchers.h"
#include "harness/kernels/cuda/runtime/device.cuh"
#include "harness/kernels/cuda/runtime/launch.cuh"

namespace samebits::cuda {
namespace {

constexpr int kThreads = 256;

dim3 blocks_for(int64_t n) {
  constexpr int64_t kMost = 2048;
  const int64_t blocks = (n + kThreads - 1) / kThreads;
  return dim3(static_cast<unsigned>(blocks < kMost ? blocks : kMost));
}

template <typename F>
__device__ void strided(int64_t n, F f) {
  const int64_t step = static_cast<int64_t>(gridDim.x) * kThreads;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x; i < n; i += step) {
    f(i);
  }
}

// The finaliser of MurmurHash3: every input bit moves every output bit.
__device__ uint32_t scramble(uint32_t x) {
  x = (x ^ (x >> 16)) * 0x85ebca6bu;
  x = (x ^ (x >> 13)) * 0xc2b2ae35u;
  return x ^ (x >> 16);
}

// Most elements have exponents within 2^-20 and 2^20, where the order of a sum and the bits that it
// drops show; one in 256 has any bits at all, and one in 65,536 is infinite or no number.
__global__ void fill_probe_kernel(uint16_t* to, int64_t n, uint32_t seed) {
  strided(n, [&](int64_t i) {
    const uint32_t word = scramble(scramble(static_cast<uint32_t>(i)) ^ seed);
    const uint32_t more = scramble(word + 1);
    const uint32_t exponent = 127 - 20 + more % 41;
    uint32_t bits = (word & 0x807fu) | exponent << 7;
    if (more >> 24 == 0) bits = word & 0xbfffu;  // magnitudes below 2: no infinity by accident
    if (more >> 16 == 7) bits = word & 1u ? 0x7f80u | (word & 0x8000u) : 0x7fc1u;
    to[i] = static_cast<uint16_t>(bits);
  });
}

// Eight elements a thread; a chunk is written only where it has a NaN.
__global__ void canonical_nans_kernel(uint16_t* x, int64_t n) {
  wait_for_earlier_kernels();
  const auto is_nan = [](uint32_t bits) { return (bits & 0x7fffu) > 0x7f80u; };
  strided(n / 8, [&](int64_t i) {
    const uint4 chunk = reinterpret_cast<const uint4*>(x)[i];
    bool found = false;
    for (const uint32_t two : {chunk.x, chunk.y, chunk.z, chunk.w}) {
      found = found || is_nan(two) || is_nan(two >> 16);
    }
    if (!found) return;
    for (int64_t j = 8 * i; j < 8 * i + 8; ++j) {
      if (is_nan(x[j])) x[j] = kNanBf16;
    }
  });
  const int64_t tail = n / 8 * 8 + threadIdx.x;
  if (blockIdx.x == 0 && tail < n && is_nan(x[tail])) x[tail] = kNanBf16;
}

__global__ void compare_kernel(const uint16_t* a, const uint16_t* b, int64_t n, int32_t* differs) {
  strided(n, [&](int64_t i) {
    if (a[i] != b[i]) *differs = 1;
  });
}

}  // namespace

void fill_probe(uint16_t* to, int64_t n, uint32_t seed, cudaStream_t stream) {
  launch_in_order(fill_probe_kernel, blocks_for(n), kThreads, 0, stream, to, n, seed);
}

void canonical_nans(uint16_t* x, int64_t n, cudaStream_t stream) {
  launch(canonical_nans_kernel, blocks_for((n + 7) / 8), kThreads, 0, stream, x, n);
}

void compare(const uint16_t* a, const uint16_t* b, int64_t n, int32_t* differs,
             cudaStream_t stream) {
  launch_in_order(compare_kernel, blocks_for(n), kThreads, 0, stream, a, b, n, differs);
}

}  // namespace samebits::cuda
