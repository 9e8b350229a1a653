// silu_mul.h, residual_add.h: element by element, 16 bytes of each operand a thread at once.

#include <algorithm>

#include "harness/kernels/cuda/rows/launchers.h"
#include "harness/kernels/cuda/rows/silu_mul.cuh"
#include "harness/kernels/cuda/runtime/device.cuh"
#include "harness/kernels/cuda/runtime/launch.cuh"

namespace samebits::cuda {
namespace {

constexpr int kThreads = 256;

// What is read and written, and what an element of the results is made of: f(in, out), float32.
template <typename T, int kIn_, int kOut_, typename F>
struct Elements {
  using Type = T;
  static constexpr int kIn = kIn_;
  static constexpr int kOut = kOut_;
  const T* in[kIn];
  T* out[kOut];
  F f;
};

template <typename T>
struct Vector {
  static constexpr int kCount = 16 / sizeof(T);
  uint4 words;

  __device__ float at(int i) const {
    const uint32_t word = (&words.x)[i * static_cast<int>(sizeof(T)) / 4];
    if constexpr (sizeof(T) == 4) return __uint_as_float(word);
    return i % 2 == 0 ? lower_of(word) : upper_of(word);
  }
  __device__ static Vector of(const float (&x)[kCount]) {
    Vector vector;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      if constexpr (sizeof(T) == 4) {
        (&vector.words.x)[i] = __float_as_uint(canonical_nan_f32(x[i]));
      } else {
        (&vector.words.x)[i] = pack_bf16(x[2 * i], x[2 * i + 1]);
      }
    }
    return vector;
  }
};

// The first `vectors` of 16 bytes, then what is left of n elements, by a grid that strides.
template <typename E>
__global__ void for_each(int64_t n, int64_t vectors, E elements) {
  using T = typename E::Type;
  constexpr int kCount = Vector<T>::kCount;
  wait_for_earlier_kernels();
  const int64_t thread = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  const int64_t threads = static_cast<int64_t>(gridDim.x) * kThreads;
  for (int64_t i = thread; i < vectors; i += threads) {
    Vector<T> in[E::kIn];
#pragma unroll
    for (int j = 0; j < E::kIn; ++j) {
      in[j].words = reinterpret_cast<const uint4*>(elements.in[j])[i];
    }
    float out[E::kOut][kCount];
#pragma unroll
    for (int e = 0; e < kCount; ++e) {
      float x[E::kIn];
      float y[E::kOut];
#pragma unroll
      for (int j = 0; j < E::kIn; ++j) x[j] = in[j].at(e);
      elements.f(x, y);
#pragma unroll
      for (int j = 0; j < E::kOut; ++j) out[j][e] = y[j];
    }
#pragma unroll
    for (int j = 0; j < E::kOut; ++j) {
      reinterpret_cast<uint4*>(elements.out[j])[i] = Vector<T>::of(out[j]).words;
    }
  }
  for (int64_t i = vectors * kCount + thread; i < n; i += threads) {
    float x[E::kIn];
    float y[E::kOut];
#pragma unroll
    for (int j = 0; j < E::kIn; ++j) x[j] = load(elements.in[j][i]);
    elements.f(x, y);
#pragma unroll
    for (int j = 0; j < E::kOut; ++j) store(y[j], elements.out[j][i]);
  }
}

template <typename E>
void launch_for_each(int64_t n, const E& elements, cudaStream_t stream) {
  if (n == 0) return;
  constexpr int64_t kCount = Vector<typename E::Type>::kCount;
  const auto is_aligned = [](const void* x) { return reinterpret_cast<uintptr_t>(x) % 16 == 0; };
  const bool all = std::all_of(elements.in, elements.in + E::kIn, is_aligned) &&
                   std::all_of(elements.out, elements.out + E::kOut, is_aligned);
  const int64_t vectors = all ? n / kCount : 0;
  const int64_t threads = std::max(vectors, n - vectors * kCount);
  const auto blocks =
      static_cast<unsigned>(std::min<int64_t>((threads + kThreads - 1) / kThreads, 4096));
  launch(for_each<E>, dim3(blocks), kThreads, 0, stream, n, vectors, elements);
}

template <typename T>
struct SiluMul {
  bool fused_rounding;
  __device__ void operator()(const float (&x)[2], float (&y)[1]) const {
    y[0] = silu_mul_element<T>(x[0], x[1], fused_rounding);
  }
};

struct SiluMulBackward {
  __device__ void operator()(const float (&x)[3], float (&y)[2]) const {
    const float d = x[0];
    const float g = x[1];
    const float e = 1.0f + exp_f32(-g);
    const float sigma = 1.0f / e;
    y[0] = (d * x[2]) * (sigma * (1.0f + g * (1.0f - sigma)));
    y[1] = d * (g / e);
  }
};

struct ResidualAdd {
  __device__ void operator()(const float (&x)[2], float (&y)[1]) const { y[0] = x[0] + x[1]; }
};

template <typename T>
const T* as(const void* x) {
  return static_cast<const T*>(x);
}
template <typename T>
T* as(void* x) {
  return static_cast<T*>(x);
}

}  // namespace

void silu_mul(int64_t n, bool bf16, const void* gate, const void* up, void* y, bool fused_rounding,
              cudaStream_t stream) {
  with_element(bf16, [&](auto element) {
    using T = decltype(element);
    launch_for_each(
        n, Elements<T, 2, 1, SiluMul<T>>{{as<T>(gate), as<T>(up)}, {as<T>(y)}, {fused_rounding}},
        stream);
  });
}

void silu_mul_backward(int64_t n, bool bf16, const void* dy, const void* gate, const void* up,
                       void* dgate, void* dup, cudaStream_t stream) {
  with_element(bf16, [&](auto element) {
    using T = decltype(element);
    launch_for_each(n,
                    Elements<T, 3, 2, SiluMulBackward>{
                        {as<T>(dy), as<T>(gate), as<T>(up)}, {as<T>(dgate), as<T>(dup)}, {}},
                    stream);
  });
}

void residual_add(int64_t n, bool bf16, const void* x, const void* y, void* out,
                  cudaStream_t stream) {
  with_element(bf16, [&](auto element) {
    using T = decltype(element);
    launch_for_each(n, Elements<T, 2, 1, ResidualAdd>{{as<T>(x), as<T>(y)}, {as<T>(out)}, {}},
                    stream);
  });
}

}  // namespace samebits::cuda
