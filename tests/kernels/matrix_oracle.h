#pragma once

#include <ATen/ATen.h>

#include <cmath>
#include <vector>

#include "harness/kernels/cpu/math.h"
#include "harness/kernels/cpu/sm90_step.h"

// linear.h's arithmetic, written down once more as plain loops.
namespace samebits::testing {

// One chain from `c`, over k ascending. Values are float32; under bf16 they hold bf16 values.
inline float oracle_chain(float c, const std::vector<float>& a, const std::vector<float>& b,
                          at::ScalarType dtype) {
  if (dtype == at::kFloat) {
    for (size_t k = 0; k < a.size(); ++k) c = std::fmaf(a[k], b[k], c);
    return c;
  }
  for (size_t first = 0; first < a.size(); first += kSm90StepK) {
    uint16_t x[kSm90StepK] = {};
    uint16_t y[kSm90StepK] = {};
    for (size_t k = first; k < a.size() && k < first + kSm90StepK; ++k) {
      x[k - first] = static_cast<uint16_t>(f32_bits(a[k]) >> 16);
      y[k - first] = static_cast<uint16_t>(f32_bits(b[k]) >> 16);
    }
    c = sm90_step(c, x, y);
  }
  return c;
}

// Neighbours in pairs, pairs of pairs; an odd one is carried up.
inline float oracle_tree(std::vector<float> sums) {
  while (sums.size() > 1) {
    std::vector<float> joined;
    for (size_t i = 0; i < sums.size(); i += 2) {
      joined.push_back(i + 1 < sums.size() ? sums[i] + sums[i + 1] : sums[i]);
    }
    sums = joined;
  }
  return sums.at(0);
}

// The bits of a tensor's row in float32, without arithmetic (a conversion might quieten a NaN).
inline std::vector<float> values_of(const at::Tensor& tensor) {
  const at::Tensor flat = tensor.contiguous().view(-1);
  std::vector<float> values(flat.numel());
  for (int64_t i = 0; i < flat.numel(); ++i) {
    values[i] = flat.scalar_type() == at::kFloat
                    ? flat.const_data_ptr<float>()[i]
                    : bf16_to_f32(static_cast<const uint16_t*>(flat.const_data_ptr())[i]);
  }
  return values;
}

// a [M, K], b [N, K] -> float32 [M, N].
inline at::Tensor oracle_gemm(const at::Tensor& a, const at::Tensor& b, int64_t slice) {
  const int64_t m = a.size(0);
  const int64_t n = b.size(0);
  const int64_t k = a.size(1);
  const int64_t width = slice == 0 ? std::max<int64_t>(k, 1) : slice;
  at::Tensor out = at::empty({m, n}, at::kFloat);
  for (int64_t i = 0; i < m; ++i) {
    const std::vector<float> x = values_of(a[i]);
    for (int64_t j = 0; j < n; ++j) {
      const std::vector<float> y = values_of(b[j]);
      std::vector<float> sums;
      for (int64_t first = 0; first < std::max<int64_t>(k, 1); first += width) {
        const int64_t end = std::min(k, first + width);
        sums.push_back(oracle_chain(0.0f, {x.begin() + first, x.begin() + end},
                                    {y.begin() + first, y.begin() + end}, a.scalar_type()));
      }
      out.mutable_data_ptr<float>()[i * n + j] = canonical_nan_f32(oracle_tree(sums));
    }
  }
  return out;
}

// float32 -> dtype by the contract's conversion.
inline at::Tensor oracle_round(const at::Tensor& x, at::ScalarType dtype) {
  if (dtype == at::kFloat) return x;
  at::Tensor out = at::empty(x.sizes(), dtype);
  for (int64_t i = 0; i < x.numel(); ++i) {
    static_cast<uint16_t*>(out.mutable_data_ptr())[i] = f32_to_bf16(x.const_data_ptr<float>()[i]);
  }
  return out;
}

}  // namespace samebits::testing
