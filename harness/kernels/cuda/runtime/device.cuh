#pragma once

// What the CUDA kernels share: elements, the contract's strided sums over a block of threads, and
// faults. Compiled with -fmad=false: a fused multiply-add stands only where the source writes one.

#include <stdint.h>

#include "harness/kernels/cpu/math.h"
#include "harness/kernels/cpu/rowwise.h"
#include "harness/kernels/cuda/runtime/fault.h"

namespace samebits::cuda {

// A barrier of `threads` threads of a block, whole warps; 0 is that of __syncthreads().
__device__ inline void sync_named(int name, int threads) {
  asm volatile("bar.sync %0, %1;\n" ::"r"(name), "r"(threads) : "memory");
}

// ---- Elements ----------------------------------------------------------------------------------
__device__ inline float load(const Bf16& x) { return bf16_to_f32(x.bits); }
__device__ inline float load(const float& x) { return x; }
__device__ inline float load_past_cache(const float* x) { return __ldcg(x); }
__device__ inline Bf16 load_past_cache(const Bf16* x) { return {__ldcg(&x->bits)}; }
__device__ inline void store(float x, Bf16& out) { out.bits = f32_to_bf16(x); }
__device__ inline void store(float x, float& out) { out = canonical_nan_f32(x); }
// f32_to_bf16() by the card's conversion, which rounds alike, but has other bits for a NaN.
__device__ inline uint16_t to_bf16(float x) {
  uint16_t bits = 0;
  asm("cvt.rn.bf16.f32 %0, %1;\n" : "=h"(bits) : "f"(x));
  return x == x ? bits : kNanBf16;
}
// The same of two elements that lie side by side.
__device__ inline uint32_t pack_bf16(float low, float high) {
  uint32_t two = 0;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;\n" : "=r"(two) : "f"(high), "f"(low));
  const uint32_t lower = low == low ? two & 0xffffu : kNanBf16;
  const uint32_t upper = high == high ? two & 0xffff0000u : uint32_t{kNanBf16} << 16;
  return lower | upper;
}
// The lower and the upper of them.
__device__ inline float lower_of(uint32_t two) { return __uint_as_float(two << 16); }
__device__ inline float upper_of(uint32_t two) { return __uint_as_float(two & 0xffff0000u); }
// x rounded to T and back.
template <typename T>
__device__ float round_as(float x);
template <>
__device__ inline float round_as<Bf16>(float x) {
  return round_to_bf16(x);
}
template <>
__device__ inline float round_as<float>(float x) {
  return x;
}

// ---- Strided sums ------------------------------------------------------------------------------
// partial[l] += partial[l + w] for w = lanes / 2, ..., 1 (rms_norm.h), within a group of 2 to 32
// neighbouring threads of a warp. The sum is what lane 0 of the group returns.
template <int kLanes>
__device__ float fold_lanes(float partial) {
  for (int width = kLanes / 2; width > 0; width /= 2) {
    partial = partial + __shfl_down_sync(0xffffffffu, partial, width, kLanes);
  }
  return partial;
}

// The same over a block of kLanes threads, each with its partial; every thread gets the sum.
template <int kLanes>
__device__ float fold_block(float partial, float* shared /* [kLanes] */) {
  const int lane = static_cast<int>(threadIdx.x);
  __syncthreads();  // of an earlier use
  shared[lane] = partial;
  __syncthreads();
  for (int width = kLanes / 2; width > 0; width /= 2) {
    if (lane < width) shared[lane] = shared[lane] + shared[lane + width];
    __syncthreads();
  }
  return shared[0];
}

// `other` is passed over if it is NaN.
__device__ inline float larger(float one, float other) { return other > one ? other : one; }

// The largest of a block's values; a NaN is never the maximum.
template <int kLanes>
__device__ float max_block(float value, float* shared /* [kLanes] */) {
  const int lane = static_cast<int>(threadIdx.x);
  __syncthreads();
  shared[lane] = value;
  __syncthreads();
  for (int width = kLanes / 2; width > 0; width /= 2) {
    if (lane < width) shared[lane] = larger(shared[lane], shared[lane + width]);
    __syncthreads();
  }
  return shared[0];
}

// ---- Exponentials ------------------------------------------------------------------------------
// x to exp(x) of all, in half the instructions where that gives the same bits for the whole warp.
template <int kCount>
__device__ void exp_all(float (&x)[kCount]) {
  uint32_t farthest = 0;
#pragma unroll
  for (int i = 0; i < kCount; ++i) farthest = max(farthest, f32_bits(x[i]) & 0x7fffffffu);
  if (__all_sync(__activemask(), farthest <= f32_bits(kOrdinaryExp))) {
#pragma unroll
    for (int i = 0; i < kCount; ++i) x[i] = ordinary_exp_f32(x[i]);
  } else {
#pragma unroll
    for (int i = 0; i < kCount; ++i) x[i] = exp_f32(x[i]);
  }
}

// ---- Faults ------------------------------------------------------------------------------------
// Notes the first fault of the process since the last check; the kernel goes on with what is safe.
__device__ inline void raise(Fault* fault, FaultKind kind, int64_t index, int64_t found,
                             int64_t limit) {
  if (atomicCAS(fault->claim, 0, 1) != 0) return;
  fault->index = index;
  fault->found = found;
  fault->limit = limit;
  fault->kind = static_cast<int>(kind);
  __threadfence_system();
}

}  // namespace samebits::cuda
