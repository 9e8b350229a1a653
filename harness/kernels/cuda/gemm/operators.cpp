// Matrix products on the card, and the gradient of an embedding, which may be a head too: see
// rows/operators.cpp.

#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <optional>
#include <vector>

#include "harness/kernels/cuda/gemm/certified_gemm.h"
#include "harness/kernels/cuda/gemm/launchers.h"
#include "harness/kernels/cuda/rows/arguments.h"

namespace samebits::cuda {
namespace {

Operand by_rows(const at::Tensor& matrix) { return {data_of(matrix), last(matrix), 1}; }
Operand by_columns(const at::Tensor& matrix) { return {data_of(matrix), 1, last(matrix)}; }

// Of an embedding's gradient.
Table table_of(const Call& call, const at::Tensor& dy, const at::Tensor& ids, int64_t first_row,
               const at::Tensor& sum) {
  return {ids.numel(), sum.size(0),           sum.size(1),
          first_row,   data_of<int64_t>(ids), call.is_bf16(dy)};
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
  gemm.out = written(out);
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

void linear(Call& call, const at::Tensor& x, const at::Tensor& weight, int64_t slice,
            int64_t dgrad_slice, at::ScalarType out_dtype) {
  call.expect_like(x, "x", weight);
  check_slice("linear", "slice", slice);
  check_slice("linear", "dgrad_slice", dgrad_slice);
  call.is_bf16(weight);
  check_out_dtype(call, out_dtype);
  const Gemm gemm = linear_product(call, x, weight, slice, call.result());
  multiply(call, gemm);
  if (gemm.a_is_settled && gemm.b_is_settled) call.began_early();
}

void linear_residual_add(Call& call, const at::Tensor& x, const at::Tensor& weight, int64_t slice,
                         at::ScalarType out_dtype, const at::Tensor& residual) {
  const auto [y, sum] = call.results<2>();
  call.expect_like(x, "x", weight);
  call.is_bf16(weight);
  check_slice("linear_residual_add", "slice", slice);
  check_out_dtype(call, out_dtype);
  call.expect(residual, "residual", out_dtype);
  Gemm gemm = linear_product(call, x, weight, slice, y);
  if (gemm_adds(gemm)) {
    gemm.residual = data_of(residual);
    gemm.sum = written(sum);
    cuda::gemm(gemm, call.stream());
    if (gemm.a_is_settled && gemm.b_is_settled) call.began_early();
    return;
  }
  multiply(call, gemm);
  cuda::residual_add(y.numel(), gemm.bf16_out, data_of(residual), data_of(y), written(sum),
                     call.stream());
}

void linear_dgrad(Call& call, const at::Tensor& dy, const at::Tensor& weight, int64_t slice) {
  call.is_bf16(dy);
  check_slice("linear_dgrad", "slice", slice);
  const at::Tensor rounded = dy.to(weight.scalar_type());
  multiply(call, product(by_rows(rounded), by_columns(weight), rows_of(dy), weight.size(1),
                         weight.size(0), slice, call.is_bf16(weight), call.result()));
}

// x with the rows of each sequence from a multiple of 16 on.
at::Tensor padded(const Call& call, const at::Tensor& x, const Sequences& sequences) {
  const int64_t rows = (sequences.tokens + 15 * sequences.groups * sequences.count + 15) / 16 * 16;
  const at::Tensor to = at::empty({rows, last(x)}, x.options());
  pad_sequences(sequences, data_of<uint16_t>(x), last(x), written<uint16_t>(to), rows,
                call.stream());
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

void linear_wgrad_(Call& call, const at::Tensor& dy, const at::Tensor& x,
                   const std::optional<at::Tensor>& starts, const at::Tensor& sum) {
  call.is_bf16(dy);
  call.is_bf16(x);
  weight_product(call, dy, x, sequences_of(call, starts, rows_of(x)), {}, sum);
}

void embedding_wgrad_(Call& call, const at::Tensor& dy, const at::Tensor& ids, int64_t first_row,
                      const std::optional<at::Tensor>& starts, const at::Tensor& sum) {
  call.is_bf16(dy);
  call.expect(ids, "ids", at::kLong);
  cuda::embedding_wgrad(table_of(call, dy, ids, first_row, sum),
                        sequences_of(call, starts, ids.numel()), data_of(dy), written<float>(sum),
                        call.stream());
}

void tied_wgrad_(Call& call, const at::Tensor& dy, const at::Tensor& ids, int64_t first_row,
                 const at::Tensor& starts, const at::Tensor& dlogits, const at::Tensor& h,
                 const at::Tensor& row_starts, const at::Tensor& sum, const at::Tensor& head_sum) {
  for (const at::Tensor* x : {&dy, &dlogits, &h}) call.is_bf16(*x);
  call.expect(ids, "ids", at::kLong);
  const Table table = table_of(call, dy, ids, first_row, sum);
  const Sequences tokens = sequences_of(call, starts, table.tokens);
  const Sequences rows = sequences_of(call, row_starts, rows_of(h));
  TORCH_CHECK(tokens.groups == rows.groups, "tied_wgrad_: found ", tokens.groups, " and ",
              rows.groups, " groups of tokens and of rows, expected as many");
  if (tokens.groups == 1) {
    cuda::embedding_wgrad(table, tokens, data_of(dy), written<float>(sum), call.stream());
    return weight_product(call, dlogits, h, rows, {}, head_sum);
  }
  float* of_tokens = call.workspace(table.tokens * table.width);
  auto* slots = reinterpret_cast<int32_t*>(call.workspace(tokens.groups * table.rows));
  cuda::embedding_wgrad_rows(table, tokens, data_of(dy), of_tokens, slots, call.stream());
  weight_product(call, dlogits, h, rows, {slots, of_tokens}, sum);
}

// A norm of x, and products of it.
struct NormedProducts {
  const at::Tensor &x, &norm_weight;
  float eps;
  std::vector<at::Tensor> weights;
  at::ScalarType out_dtype;
  at::Tensor normed;             // results from here on
  std::vector<at::Tensor> outs;  // one a weight
  at::Tensor gated;              // of the first two, or undefined
};

void norm_linears(Call& call, const NormedProducts& from) {
  call.is_bf16(from.x);
  for (const at::Tensor& weight : from.weights) call.expect_like(weight, "a weight", from.x);
  call.expect_like(from.norm_weight, "norm_weight", from.x);
  check_out_dtype(call, from.out_dtype);
  NormLinears all{};
  all.size = rows(call, from.x);
  all.eps = from.eps;
  all.x = data_of(from.x);
  all.norm_weight = data_of(from.norm_weight);
  all.normed = written(from.normed);
  all.matrices = static_cast<int>(from.weights.size());
  all.weights_are_settled = call.is_settled(from.norm_weight);
  for (size_t i = 0; i < from.weights.size(); ++i) {
    const at::Tensor& weight = from.weights[i];
    all.weights[i] = data_of(weight);
    all.widths[i] = weight.size(0);
    all.outs[i] = written(from.outs[i]);
    all.weights_are_settled = all.weights_are_settled && call.is_settled(weight);
  }
  if (from.gated.defined()) all.gated = written(from.gated);
  const bool is_bf16 = from.out_dtype == at::kBFloat16;
  if (is_bf16 && takes_norm_linears(all)) return cuda::norm_linears(all, call.stream());
  cuda::rms_norm(all.size, all.x, all.norm_weight, all.normed, all.eps, /*fused_rounding=*/false,
                 call.stream());
  for (size_t i = 0; i < from.weights.size(); ++i) {
    Gemm gemm = linear_product(call, from.normed, from.weights[i], /*slice=*/0, from.outs[i]);
    // The norm's kernel has written what the products read; products let each other begin.
    gemm.a_is_settled = false;
    gemm.b_is_settled = all.weights_are_settled;
    multiply(call, gemm);
  }
  if (!from.gated.defined()) return;
  cuda::silu_mul(from.gated.numel(), is_bf16, all.outs[0], all.outs[1], all.gated,
                 /*fused_rounding=*/false, call.stream());
}

void rms_norm_linear_qkv(Call& call, const at::Tensor& x, const at::Tensor& norm_weight, float eps,
                         const at::Tensor& wq, const at::Tensor& wk, const at::Tensor& wv,
                         at::ScalarType out_dtype) {
  const auto [normed, q, k, v] = call.results<4>();
  norm_linears(call, {x, norm_weight, eps, {wq, wk, wv}, out_dtype, normed, {q, k, v}, {}});
}

void rms_norm_linear_silu_mul(Call& call, const at::Tensor& x, const at::Tensor& norm_weight,
                              float eps, const at::Tensor& gate_weight, const at::Tensor& up_weight,
                              at::ScalarType out_dtype) {
  const auto [normed, gate, up, y] = call.results<4>();
  norm_linears(call,
               {x, norm_weight, eps, {gate_weight, up_weight}, out_dtype, normed, {gate, up}, y});
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
