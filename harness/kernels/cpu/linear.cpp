// The arithmetic: linear.h. Everything here is shapes and strides; gemm.h does the sums.

#include "harness/kernels/linear.h"

#include <ATen/ops/empty.h>
#include <c10/util/accumulate.h>
#include <torch/library.h>

#include <utility>
#include <vector>

#include "harness/dispatch/launch.h"
#include "harness/kernels/cpu/gemm.h"
#include "harness/kernels/cpu/starts.h"
#include "harness/kernels/cpu/tensors.h"
#include "harness/kernels/cpu/weight_product.h"

namespace samebits::cpu {
namespace {

void check_matrix_dtype(const char* op, const char* name, const at::Tensor& tensor) {
  TORCH_CHECK(tensor.scalar_type() == at::kFloat || tensor.scalar_type() == at::kBFloat16,
              "samebits::", op, ": ", name, " has dtype ", tensor.scalar_type(),
              ", expected float32 or bfloat16");
}

void check_slice(const char* op, const char* name, int64_t slice) {
  TORCH_CHECK(slice >= 0, "samebits::", op, ": ", name, " is ", slice, ", expected 0 or more");
}

void check_weight(const char* op, const char* name, const at::Tensor& x, const at::Tensor& weight,
                  int64_t weight_dim) {
  check_matrix_dtype(op, "weight", weight);
  TORCH_CHECK(weight.dim() == 2, "samebits::", op, ": weight has ", weight.dim(),
              " dimensions, expected 2");
  TORCH_CHECK(x.dim() >= 1, "samebits::", op, ": ", name, " is a scalar, expected [..., size]");
  TORCH_CHECK(x.size(-1) == weight.size(weight_dim), "samebits::", op, ": the last size of ", name,
              " is ", x.size(-1), ", expected ", weight.size(weight_dim), ", as weight has");
}

int64_t rows_of(const at::Tensor& tensor) {
  return c10::multiply_integers(tensor.sizes().slice(0, tensor.dim() - 1));
}

at::Tensor empty_with_last(const at::Tensor& like, int64_t last, at::ScalarType dtype) {
  auto sizes = like.sizes().vec();
  sizes.back() = last;
  return at::empty(sizes, like.options().dtype(dtype));
}

MatrixView by_rows(const at::Tensor& matrix) {
  return {matrix.const_data_ptr(), matrix.size(-1), 1};
}

MatrixView by_columns(const at::Tensor& matrix) {
  return {matrix.const_data_ptr(), 1, matrix.size(-1)};
}

void launch_gemm(const char* name, const MatrixView& a, const MatrixView& b, int64_t m, int64_t n,
                 int64_t k, int64_t slice, c10::ScalarType dtype, const at::Tensor& out) {
  launch(name,
         [a, b, m, n, k, slice, dtype, to = out.mutable_data_ptr(), out_dtype = out.scalar_type()] {
           gemm(a, b, m, n, k, slice, dtype, to, out_dtype);
         });
}

}  // namespace

at::Tensor linear(const at::Tensor& x, const at::Tensor& weight, int64_t slice, int64_t dgrad_slice,
                  at::ScalarType out_dtype) {
  check_weight("linear", "x", x, weight, /*weight_dim=*/1);
  TORCH_CHECK(x.scalar_type() == weight.scalar_type(), "samebits::linear: x has dtype ",
              x.scalar_type(), ", expected ", weight.scalar_type(), ", as weight has");
  check_slice("linear", "slice", slice);
  check_slice("linear", "dgrad_slice", dgrad_slice);
  TORCH_CHECK(out_dtype == at::kFloat || out_dtype == at::kBFloat16,
              "samebits::linear: out_dtype is ", out_dtype, ", expected float32 or bfloat16");
  const at::Tensor a = x.contiguous();
  const at::Tensor b = weight.contiguous();
  at::Tensor out = empty_with_last(x, weight.size(0), out_dtype);
  launch_gemm("linear", by_rows(a), by_rows(b), rows_of(x), weight.size(0), weight.size(1), slice,
              x.scalar_type(), out);
  return out;
}

at::Tensor linear_dgrad(const at::Tensor& dy, const at::Tensor& weight, int64_t slice) {
  check_matrix_dtype("linear_dgrad", "dy", dy);
  check_weight("linear_dgrad", "dy", dy, weight, /*weight_dim=*/0);
  check_slice("linear_dgrad", "slice", slice);
  const at::Tensor a = dy.to(weight.scalar_type()).contiguous();
  const at::Tensor b = weight.contiguous();
  at::Tensor dx = empty_with_last(dy, weight.size(1), at::kFloat);
  launch_gemm("linear_dgrad", by_rows(a), by_columns(b), rows_of(dy), weight.size(1),
              weight.size(0), slice, weight.scalar_type(), dx);
  return dx;
}

void linear_wgrad_(const at::Tensor& dy, const at::Tensor& x,
                   const std::optional<at::Tensor>& starts, const at::Tensor& sum) {
  check_matrix_dtype("linear_wgrad_", "dy", dy);
  check_matrix_dtype("linear_wgrad_", "x", x);
  TORCH_CHECK(dy.dim() >= 1 && x.dim() >= 1 &&
                  dy.sizes().slice(0, dy.dim() - 1) == x.sizes().slice(0, x.dim() - 1),
              "samebits::linear_wgrad_: dy has sizes ", dy.sizes(),
              ", expected the leading sizes of ", x.sizes());
  check_sum("linear_wgrad_", sum, {dy.size(-1), x.size(-1)});
  const WeightProduct product = weight_product(dy, x);
  const at::Tensor firsts = contiguous_starts(starts);
  launch("linear_wgrad_",
         [operands = product.operands, starts = starts_of("linear_wgrad_", firsts, rows_of(x)),
          to = sum.mutable_data_ptr<float>()] {
           const auto groups = checked_groups("linear_wgrad_", starts);
           if (groups.size() == 1) return operands.add(groups[0], to);
           GroupTree tree;
           for (const auto& group : groups) {
             std::vector<float> chain(static_cast<size_t>(operands.rows * operands.columns));
             operands.add(group, chain.data());
             tree.add(std::move(chain));
           }
           tree.write(to);
         });
}

WeightProduct weight_product(const at::Tensor& dy, const at::Tensor& x) {
  WeightProduct product{dy.to(x.scalar_type()).contiguous(), x.contiguous(), {}};
  product.operands = {by_columns(product.dy), by_columns(product.x), dy.size(-1), x.size(-1),
                      x.scalar_type()};
  return product;
}

}  // namespace samebits::cpu

TORCH_LIBRARY_IMPL(samebits, CPU, m) {
  m.impl("linear", samebits::cpu::linear);
  m.impl("linear_dgrad", samebits::cpu::linear_dgrad);
  m.impl("linear_wgrad_", samebits::cpu::linear_wgrad_);
}
