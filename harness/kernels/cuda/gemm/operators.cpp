// Matrix products on the card, and the gradient of an embedding, which may be a head too: see
// rows/operators.cpp.

#include <ATen/ops/empty.h>
#include <torch/library.h>

#include "harness/kernels/cuda/gemm/certified_gemm.h"
#include "harness/kernels/cuda/gemm/launchers.h"
#include "harness/kernels/cuda/rows/arguments.h"

namespace samebits::cuda {
namespace {

Operand by_rows(const at::Tensor& matrix) { return {matrix.const_data_ptr(), last(matrix), 1}; }
Operand by_columns(const at::Tensor& matrix) { return {matrix.const_data_ptr(), 1, last(matrix)}; }

// Of an embedding's gradient: arguments dy, ids and first_row.
Table table_of(const Call& call, const at::Tensor& sum) {
  return {call.tensor(1).numel(), sum.size(0),           sum.size(1),
          call.integer(2),        call.data<int64_t>(1), call.is_bf16(0)};
}

void check_slice(const char* op, const char* name, int64_t slice) {
  TORCH_CHECK(slice >= 0, "samebits::", op, ": ", name, " is ", slice, ", expected 0 or more");
}

void multiply(Call& call, Gemm gemm) {
  if (certified_gemm(gemm, call.stream())) return;
  gemm.workspace = call.workspace(gemm_workspace(gemm));
  cuda::gemm(gemm, call.stream());
}

Gemm product(const Operand& a, const Operand& b, int64_t m, int64_t n, int64_t k, int64_t slice,
             bool bf16, const at::Tensor& out) {
  Gemm gemm{};
  gemm.a = a;
  gemm.b = b;
  gemm.out = out.mutable_data_ptr();
  gemm.m = m;
  gemm.n = n;
  gemm.k = k;
  gemm.slice = slice;
  gemm.bf16 = bf16;
  gemm.bf16_out = out.scalar_type() == at::kBFloat16;
  return gemm;
}

// x [..., K] by weight [N, K].
Gemm linear_product(const Call& call, const at::Tensor& x, const at::Tensor& weight, int64_t slice,
                    const at::Tensor& out) {
  Gemm gemm = product(by_rows(x), by_rows(weight), rows_of(x), weight.size(0), weight.size(1),
                      slice, weight.scalar_type() == at::kBFloat16, out);
  gemm.a_is_settled = call.is_settled(x);
  gemm.b_is_settled = call.is_settled(weight);
  return gemm;
}

void check_out_dtype(const Call& call, at::ScalarType dtype) {
  TORCH_CHECK(dtype == at::kFloat || dtype == at::kBFloat16, "samebits::", call.op(),
              ": out_dtype is ", dtype, ", expected float32 or bfloat16");
}

void linear(Call& call) {
  const at::Tensor& x = call.tensor(0);
  const at::Tensor& weight = call.tensor(1);
  call.expect_like(0, "x", 1);
  check_slice("linear", "slice", call.integer(2));
  check_slice("linear", "dgrad_slice", call.integer(3));
  call.is_bf16(1);
  check_out_dtype(call, call.result_tensor(0).scalar_type());
  const Gemm gemm = linear_product(call, x, weight, call.integer(2), call.result_tensor(0));
  multiply(call, gemm);
  if (gemm.a_is_settled && gemm.b_is_settled) call.began_early();
}

void linear_residual_add(Call& call) {
  const at::Tensor& y = call.result_tensor(0);
  call.expect_like(0, "x", 1);
  call.is_bf16(1);
  check_slice("linear_residual_add", "slice", call.integer(2));
  check_out_dtype(call, y.scalar_type());
  call.expect(4, "residual", y.scalar_type());
  Gemm gemm = linear_product(call, call.tensor(0), call.tensor(1), call.integer(2), y);
  if (gemm_adds(gemm)) {
    gemm.residual = call.data(4);
    gemm.sum = call.result(1);
    cuda::gemm(gemm, call.stream());
    if (gemm.a_is_settled && gemm.b_is_settled) call.began_early();
    return;
  }
  multiply(call, gemm);
  cuda::residual_add(y.numel(), gemm.bf16_out, call.data(4), call.result(0), call.result(1),
                     call.stream());
}

void linear_dgrad(Call& call) {
  const at::Tensor& weight = call.tensor(1);
  call.is_bf16(0);
  check_slice("linear_dgrad", "slice", call.integer(2));
  const at::Tensor dy = call.tensor(0).to(weight.scalar_type());
  multiply(call, product(by_rows(dy), by_columns(weight), rows_of(dy), weight.size(1),
                         weight.size(0), call.integer(2), call.is_bf16(1), call.result_tensor(0)));
}

// x with the rows of each sequence from a multiple of 16 on.
at::Tensor padded(const Call& call, const at::Tensor& x, const Sequences& sequences) {
  const int64_t rows = (sequences.tokens + 15 * sequences.groups * sequences.count + 15) / 16 * 16;
  const at::Tensor to = at::empty({rows, last(x)}, x.options());
  pad_sequences(sequences, static_cast<const uint16_t*>(x.const_data_ptr()), last(x),
                static_cast<uint16_t*>(to.mutable_data_ptr()), rows, call.stream());
  return to;
}

// dy by x over tokens, to `sum`. Chains that go on or begin at sequences, which nothing of cuBLASLt
// does: always our own kernels. `added`: to each group's, where there are several.
void weight_product(Call& call, at::Tensor dy, at::Tensor x, const Sequences& sequences,
                    const GroupRows& added, const at::Tensor& sum) {
  dy = dy.to(x.scalar_type());
  const auto gemm_of = [&] {
    Gemm gemm = product(by_columns(dy), by_columns(x), last(dy), last(x), rows_of(x), /*slice=*/0,
                        x.scalar_type() == at::kBFloat16, sum);
    gemm.sequences = sequences;
    gemm.onto = sequences.groups == 1;
    gemm.added = added;
    return gemm;
  };
  Gemm gemm = gemm_of();
  // In float32, and of one sequence, there is nothing to fill.
  if (gemm.bf16 && sequences.groups * sequences.count > 1 && sequences.tokens > 0 &&
      !gemm_takes_sequences(gemm)) {
    x = padded(call, x, sequences);
    dy = padded(call, dy, sequences);
    gemm = gemm_of();
    gemm.is_padded = true;
  }
  gemm.workspace = call.workspace(gemm_workspace(gemm));
  cuda::gemm(gemm, call.stream());
}

void linear_wgrad_(Call& call) {
  call.is_bf16(0);
  call.is_bf16(1);
  const at::Tensor& x = call.tensor(1);
  weight_product(call, call.tensor(0), x, sequences_of(call, 2, rows_of(x)), {}, call.tensor(3));
}

void embedding_wgrad_(Call& call) {
  call.is_bf16(0);
  call.expect(1, "ids", at::kLong);
  const at::Tensor& sum = call.tensor(4);
  cuda::embedding_wgrad(table_of(call, sum), sequences_of(call, 3, call.tensor(1).numel()),
                        call.data(0), call.data<float>(4), call.stream());
}

void tied_wgrad_(Call& call) {
  for (const size_t i : {0, 4, 5}) call.is_bf16(i);
  call.expect(1, "ids", at::kLong);
  const at::Tensor& h = call.tensor(5);
  const at::Tensor& sum = call.tensor(7);
  const Table table = table_of(call, sum);
  const Sequences tokens = sequences_of(call, 3, table.tokens);
  const Sequences rows = sequences_of(call, 6, rows_of(h));
  TORCH_CHECK(tokens.groups == rows.groups, "tied_wgrad_: found ", tokens.groups, " and ",
              rows.groups, " groups of tokens and of rows, expected as many");
  if (tokens.groups == 1) {
    cuda::embedding_wgrad(table, tokens, call.data(0), call.data<float>(7), call.stream());
    return weight_product(call, call.tensor(4), h, rows, {}, call.tensor(8));
  }
  float* of_tokens = call.workspace(table.tokens * table.width);
  auto* slots = reinterpret_cast<int32_t*>(call.workspace(tokens.groups * table.rows));
  cuda::embedding_wgrad_rows(table, tokens, call.data(0), of_tokens, slots, call.stream());
  weight_product(call, call.tensor(4), h, rows, {slots, of_tokens}, sum);
}

// The norm of argument 0, and its products with `count` weights, arguments 3 and on, as results 1
// and on; `gated`: of the first two, or undefined.
void norm_linears(Call& call, int count, const at::Tensor& gated) {
  const at::Tensor& normed = call.result_tensor(0);
  NormLinears all{};
  all.size = rows(call, 0);
  all.eps = call.real(2);
  all.x = call.data(0);
  all.norm_weight = call.data(1);
  all.normed = call.result(0);
  all.matrices = count;
  all.weights_are_settled = call.is_settled(call.tensor(1));
  bool is_bf16 = true;
  for (int i = 0; i < count; ++i) {
    const at::Tensor& weight = call.tensor(3 + i);
    all.weights[i] = weight.const_data_ptr();
    all.widths[i] = weight.size(0);
    all.outs[i] = call.result(1 + i);
    all.weights_are_settled = all.weights_are_settled && call.is_settled(weight);
    is_bf16 = is_bf16 && call.result_tensor(1 + i).scalar_type() == at::kBFloat16;
  }
  if (gated.defined()) all.gated = gated.mutable_data_ptr();
  if (is_bf16 && takes_norm_linears(all)) return cuda::norm_linears(all, call.stream());
  cuda::rms_norm(all.size, all.x, all.norm_weight, all.normed, all.eps, /*fused_rounding=*/false,
                 call.stream());
  for (int i = 0; i < count; ++i) {
    Gemm gemm =
        linear_product(call, normed, call.tensor(3 + i), /*slice=*/0, call.result_tensor(1 + i));
    // The norm's kernel has written what the products read; products let each other begin.
    gemm.a_is_settled = false;
    gemm.b_is_settled = all.weights_are_settled;
    multiply(call, gemm);
  }
  if (!gated.defined()) return;
  cuda::silu_mul(gated.numel(), gated.scalar_type() == at::kBFloat16, all.outs[0], all.outs[1],
                 all.gated, /*fused_rounding=*/false, call.stream());
}

void check_norm_linears(const Call& call, size_t weights) {
  call.is_bf16(0);
  for (size_t i = 3; i < 3 + weights; ++i) call.expect_like(i, "a weight", 0);
  call.expect_like(1, "norm_weight", 0);
  check_out_dtype(call, call.result_tensor(1).scalar_type());
}

void rms_norm_linear_qkv(Call& call) {
  check_norm_linears(call, 3);
  norm_linears(call, 3, at::Tensor());
}

void rms_norm_linear_silu_mul(Call& call) {
  check_norm_linears(call, 2);
  norm_linears(call, 2, call.result_tensor(3));
}

TORCH_LIBRARY_IMPL(samebits, CUDA, m) {
  m.impl("linear", kernel<linear>());
  m.impl("linear_dgrad", kernel<linear_dgrad>());
  m.impl("linear_residual_add", kernel<linear_residual_add>());
  m.impl("linear_wgrad_", kernel<linear_wgrad_, /*kFirst=*/3, /*kUncopied=*/1>());
  m.impl("embedding_wgrad_", kernel<embedding_wgrad_, /*kFirst=*/4, /*kUncopied=*/1>());
  m.impl("tied_wgrad_", kernel<tied_wgrad_, /*kFirst=*/7, /*kUncopied=*/2>());
  m.impl("rms_norm_linear_qkv", kernel<rms_norm_linear_qkv>());
  m.impl("rms_norm_linear_silu_mul", kernel<rms_norm_linear_silu_mul>());
}

}  // namespace
}  // namespace samebits::cuda
