// The sm90 chain without vector instructions, and what the vector forms share with it.

#include "harness/kernels/cpu/gemm_kernels.h"
#include "harness/kernels/cpu/math.h"
#include "harness/kernels/cpu/sm90_operand.h"
#include "harness/kernels/cpu/sm90_step.h"

namespace samebits {
namespace {

void sm90_prepare_portable(const uint16_t* a, int64_t row_stride, int64_t k_stride, int64_t rows,
                           int64_t k, Sm90Operand* out) {
  for (int64_t first = 0; first < k; first += kSm90StepK) {
    const int64_t length = k - first < kSm90StepK ? k - first : kSm90StepK;
    for (int64_t row = 0; row < rows; ++row, ++out) {
      const uint16_t* from = a + row * row_stride + first * k_stride;
      int32_t smallest = 255;  // of the non-zero exponents
      int32_t largest = 0;
      bool has_zero = false;
      int16_t exponents[kSm90StepK];
      for (int i = 0; i < kSm90StepK; ++i) {
        const uint32_t bits = i < length ? from[i * k_stride] : 0u;
        const int32_t field = static_cast<int32_t>((bits >> 7) & 0xffu);
        const int32_t exponent = field != 0 ? field : 1;
        const bool zero = (bits & 0x7fffu) == 0;
        out->x[i] = f32_from_bits(bits << 16);
        exponents[i] = static_cast<int16_t>(zero ? -32768 : (exponent - 127) * 128);
        has_zero = has_zero || zero;
        smallest = !zero && exponent < smallest ? exponent : smallest;
        largest = !zero && exponent > largest ? exponent : largest;
      }
      for (int pair = 0; pair < kSm90StepK / 2; ++pair) {
        out->exponents[pair] = static_cast<uint16_t>(exponents[2 * pair]) |
                               static_cast<uint32_t>(exponents[2 * pair + 1]) << 16;
      }
      set_window(out, smallest, largest, has_zero);
    }
  }
}

void sm90_chain_portable(const Sm90Operand* a, int64_t step_stride, int64_t rows, const uint16_t* b,
                         int64_t lane_stride, int64_t k_stride, int lanes, int64_t k, float* c,
                         int64_t ldc) {
  for (int64_t first = 0; first < k; first += kSm90StepK) {
    const int64_t length = k - first < kSm90StepK ? k - first : kSm90StepK;
    for (int lane = 0; lane < lanes; ++lane) {
      uint16_t column[kSm90StepK] = {};
      const uint16_t* from = b + lane * lane_stride + first * k_stride;
      for (int64_t i = 0; i < length; ++i) column[i] = from[i * k_stride];
      for (int64_t row = 0; row < rows; ++row) {
        const Sm90Operand& operand = a[first / kSm90StepK * step_stride + row];
        uint16_t x[kSm90StepK];
        for (int i = 0; i < kSm90StepK; ++i) x[i] = f32_bits(operand.x[i]) >> 16;
        c[row * ldc + lane] = sm90_step(c[row * ldc + lane], x, column);
      }
    }
  }
}

}  // namespace

void sm90_step_lanes(const Sm90Operand& a, const uint32_t* pairs, uint32_t mask, const float* old_c,
                     float* c) {
  uint16_t x[kSm90StepK];
  for (int i = 0; i < kSm90StepK; ++i) x[i] = f32_bits(a.x[i]) >> 16;
  for (; mask != 0; mask &= mask - 1) {
    const int lane = __builtin_ctz(mask);
    uint16_t column[kSm90StepK];
    for (int pair = 0; pair < kSm90StepK / 2; ++pair) {
      column[2 * pair] = static_cast<uint16_t>(pairs[pair * kSm90Lanes + lane]);
      column[2 * pair + 1] = static_cast<uint16_t>(pairs[pair * kSm90Lanes + lane] >> 16);
    }
    c[lane] = sm90_step(old_c[lane], x, column);
  }
}

extern const Sm90Prepare kSm90PreparePortable = sm90_prepare_portable;
extern const Sm90Chain kSm90ChainPortable = sm90_chain_portable;

}  // namespace samebits
