// silu_mul.h, residual_add.h: one thread an element.

#include <algorithm>

#include "harness/kernels/cuda/rows/launchers.h"
#include "harness/kernels/cuda/rows/silu_mul.cuh"
#include "harness/kernels/cuda/runtime/device.cuh"
#include "harness/kernels/cuda/runtime/launch.cuh"

namespace samebits::cuda {
namespace {

constexpr int kThreads = 256;

// Element(i) for every i < n, by a grid that strides.
template <typename Element>
__global__ void for_each(int64_t n, Element element) {
  wait_for_earlier_kernels();
  const int64_t step = static_cast<int64_t>(gridDim.x) * kThreads;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x; i < n; i += step) {
    element(i);
  }
}

template <typename Element>
void launch_for_each(int64_t n, const Element& element, cudaStream_t stream) {
  if (n == 0) return;
  const auto blocks = static_cast<unsigned>(std::min<int64_t>((n + kThreads - 1) / kThreads, 4096));
  launch(for_each<Element>, dim3(blocks), kThreads, 0, stream, n, element);
}

template <typename T>
struct SiluMul {
  const T* gate;
  const T* up;
  T* y;
  bool fused_rounding;
  __device__ void operator()(int64_t i) const {
    store(silu_mul_element<T>(load(gate[i]), load(up[i]), fused_rounding), y[i]);
  }
};

template <typename T>
struct SiluMulBackward {
  const T* dy;
  const T* gate;
  const T* up;
  T* dgate;
  T* dup;
  __device__ void operator()(int64_t i) const {
    const float d = load(dy[i]);
    const float g = load(gate[i]);
    const float e = 1.0f + exp_f32(-g);
    const float sigma = 1.0f / e;
    store(d * (g / e), dup[i]);
    store((d * load(up[i])) * (sigma * (1.0f + g * (1.0f - sigma))), dgate[i]);
  }
};

template <typename T>
struct ResidualAdd {
  const T* x;
  const T* y;
  T* out;
  __device__ void operator()(int64_t i) const { store(load(x[i]) + load(y[i]), out[i]); }
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
  if (bf16) {
    launch_for_each(n, SiluMul<Bf16>{as<Bf16>(gate), as<Bf16>(up), as<Bf16>(y), fused_rounding},
                    stream);
  } else {
    launch_for_each(n, SiluMul<float>{as<float>(gate), as<float>(up), as<float>(y), fused_rounding},
                    stream);
  }
}

void silu_mul_backward(int64_t n, bool bf16, const void* dy, const void* gate, const void* up,
                       void* dgate, void* dup, cudaStream_t stream) {
  if (bf16) {
    launch_for_each(n,
                    SiluMulBackward<Bf16>{as<Bf16>(dy), as<Bf16>(gate), as<Bf16>(up),
                                          as<Bf16>(dgate), as<Bf16>(dup)},
                    stream);
  } else {
    launch_for_each(n,
                    SiluMulBackward<float>{as<float>(dy), as<float>(gate), as<float>(up),
                                           as<float>(dgate), as<float>(dup)},
                    stream);
  }
}

void residual_add(int64_t n, bool bf16, const void* x, const void* y, void* out,
                  cudaStream_t stream) {
  if (bf16) {
    launch_for_each(n, ResidualAdd<Bf16>{as<Bf16>(x), as<Bf16>(y), as<Bf16>(out)}, stream);
  } else {
    launch_for_each(n, ResidualAdd<float>{as<float>(x), as<float>(y), as<float>(out)}, stream);
  }
}

}  // namespace samebits::cuda
