// The float32 chain without vector instructions, and the table of portable kernels.

#include "harness/kernels/cpu/gemm_kernels.h"
#include "harness/kernels/cpu/math.h"

namespace samebits {

extern const Sm90Prepare kSm90PreparePortable;
extern const Sm90Chain kSm90ChainPortable;

namespace {

void f32_chain_portable(const float* a, int64_t a_row_stride, int64_t a_k_stride, int64_t rows,
                        const float* b, int64_t lane_stride, int64_t k_stride, int lanes, int64_t k,
                        float* c, int64_t ldc) {
  for (int64_t row = 0; row < rows; ++row) {
    for (int lane = 0; lane < lanes; ++lane) {
      float sum = c[row * ldc + lane];
      for (int64_t i = 0; i < k; ++i) {
        sum = fma_f32(a[row * a_row_stride + i * a_k_stride], b[lane * lane_stride + i * k_stride],
                      sum);
      }
      c[row * ldc + lane] = sum;
    }
  }
}

}  // namespace

extern const GemmKernels kGemmPortable{kSm90PreparePortable, kSm90ChainPortable,
                                       f32_chain_portable};

}  // namespace samebits
