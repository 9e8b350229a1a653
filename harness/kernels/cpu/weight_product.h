#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/ScalarType.h>

#include <cstdint>
#include <vector>

#include "harness/kernels/cpu/gemm.h"

namespace samebits::cpu {

// The chains of linear_wgrad_, as a launch holds them.
struct WeightOperands {
  MatrixView dy;
  MatrixView x;
  int64_t rows;     // of the weight
  int64_t columns;  // likewise
  c10::ScalarType dtype;

  // Onto sum [rows, columns], of the sequences of one group.
  void add(const std::vector<int64_t>& starts, float* sum) const {
    gemm_onto(dy, x, rows, columns, starts, dtype, sum);
  }
};

// The operands of one call and the memory that they point into, which is to live until its launch
// is made.
struct WeightProduct {
  at::Tensor dy;
  at::Tensor x;
  WeightOperands operands;
};

// dy [..., rows], x [..., columns], as linear_wgrad_ checks them.
WeightProduct weight_product(const at::Tensor& dy, const at::Tensor& x);

}  // namespace samebits::cpu
