// The contract list on the card: from tensors to launchers.h. Shapes are checked, and results
// allocated, by the shape rules that DTensor and the tracer use.

#include <ATen/ops/empty.h>
#include <ATen/ops/sort.h>
#include <torch/library.h>

#include <limits>
#include <utility>

#include "harness/kernels/cuda/boxed.h"
#include "harness/kernels/cuda/certified_gemm.h"
#include "harness/kernels/cuda/launchers.h"
#include "harness/kernels/cuda/side_stream.h"
#include "harness/kernels/rms_norm.h"

namespace samebits::cuda {
namespace {

int64_t last(const at::Tensor& x) { return x.size(-1); }
int64_t rows_of(const at::Tensor& x) {
  return c10::multiply_integers(x.sizes().slice(0, x.dim() - 1));
}

// ---- matrices ----------------------------------------------------------------------------------
Operand by_rows(const at::Tensor& matrix) { return {matrix.const_data_ptr(), last(matrix), 1}; }
Operand by_columns(const at::Tensor& matrix) { return {matrix.const_data_ptr(), 1, last(matrix)}; }

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

void linear_wgrad(Call& call) {
  const at::Tensor& x = call.tensor(1);
  call.is_bf16(0);
  const at::Tensor dy = call.tensor(0).to(x.scalar_type());
  multiply(call, product(by_columns(dy), by_columns(x), last(dy), last(x), rows_of(x), /*slice=*/0,
                         call.is_bf16(1), call.result_tensor(0)));
}

// ---- rows --------------------------------------------------------------------------------------
Rows rows(const Call& call, size_t x) {
  TORCH_CHECK(last(call.tensor(x)) >= 1, call.op(), ": x has shape ", call.tensor(x).sizes(),
              ", expected a last dimension of at least 1");
  return {rows_of(call.tensor(x)), last(call.tensor(x)), call.is_bf16(x)};
}

void rms_norm(Call& call) {
  call.expect_like(1, "weight", 0);
  cuda::rms_norm(rows(call, 0), call.data(0), call.data(1), call.result(0), call.real(2),
                 call.flag(3), call.stream());
}

void rms_norm_dgrad(Call& call) {
  call.expect_like(0, "dy", 1);
  call.expect_like(2, "weight", 1);
  cuda::rms_norm_dgrad(rows(call, 1), call.data(0), call.data(1), call.data(2), call.result(0),
                       call.real(3), call.stream());
}

void rms_norm_wgrad(Call& call) {
  call.expect_like(0, "dy", 1);
  const Rows size = rows(call, 1);
  const int64_t blocks = (size.rows + kRmsNormBlockRows - 1) / kRmsNormBlockRows;
  cuda::rms_norm_wgrad(size, call.data(0), call.data(1), call.result(0), call.real(2),
                       call.workspace(size.rows + blocks * size.dim), call.stream());
}

void residual_rms_norm(Call& call) {
  call.expect_like(1, "y", 0);
  call.expect_like(2, "weight", 0);
  cuda::residual_rms_norm(rows(call, 0), call.data(0), call.data(1), call.data(2), call.result(0),
                          call.result(1), call.real(3), call.stream());
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

void rope(Call& call) {
  cuda::rope(rotation_of(call, 1), call.data(0), call.result(0), call.flag(4), call.stream());
}

void rms_norm_rope(Call& call) {
  call.expect_like(1, "weight", 0);
  Rotation rotation = rotation_of(call, 3);
  rotation.tables_are_settled = rotation.tables_are_settled && call.settled({1});
  cuda::rms_norm_rope(rotation, heads_of(call, /*x=*/0, /*result=*/0), /*second=*/nullptr,
                      call.real(2), /*write=*/nullptr, call.stream());
  if (rotation.is_settled) call.began_early();
}

// ---- element by element ------------------------------------------------------------------------
void silu_mul(Call& call) {
  call.expect_like(1, "up", 0);
  cuda::silu_mul(call.tensor(0).numel(), call.is_bf16(0), call.data(0), call.data(1),
                 call.result(0), call.flag(2), call.stream());
}

void silu_mul_backward(Call& call) {
  call.expect_like(0, "dy", 1);
  call.expect_like(2, "up", 1);
  cuda::silu_mul_backward(call.tensor(1).numel(), call.is_bf16(1), call.data(0), call.data(1),
                          call.data(2), call.result(0), call.result(1), call.stream());
}

void residual_add(Call& call) {
  call.expect_like(1, "y", 0);
  cuda::residual_add(call.tensor(0).numel(), call.is_bf16(0), call.data(0), call.data(1),
                     call.result(0), call.stream());
}

// ---- the vocabulary ----------------------------------------------------------------------------
Table table(const Call& call, size_t ids, size_t weight, int64_t first_row) {
  call.expect(ids, "ids", at::kLong);
  const at::Tensor& rows = call.tensor(weight);
  return {call.tensor(ids).numel(), rows.size(0),        rows.size(1), first_row,
          call.data<int64_t>(ids),  call.is_bf16(weight)};
}

void embedding(Call& call) {
  cuda::embedding(table(call, 0, 1, call.integer(2)), call.data(1), call.result(0), call.stream());
}

void embedding_wgrad(Call& call) {
  call.expect_like(0, "dy", 2);
  cuda::embedding_wgrad(table(call, 1, 2, call.integer(3)), call.data(0), call.result(0),
                        call.stream());
}

Logits logits(const Call& call, size_t x, int64_t vocab) {
  const at::Tensor& tensor = call.tensor(x);
  TORCH_CHECK(vocab >= 1 && vocab <= last(tensor), call.op(), ": found vocab ", vocab,
              ", expected 1 to the ", last(tensor), " columns of logits");
  return {rows_of(tensor), last(tensor), vocab, call.is_bf16(x)};
}

void log_softmax_gather(Call& call) {
  call.expect(1, "targets", at::kLong);
  const Logits size = logits(call, 0, call.integer(2));
  cuda::log_softmax_gather(size, call.data(0), call.data<int64_t>(1),
                           call.workspace(log_softmax_workspace(size)), call.result<float>(0),
                           call.result<float>(1), call.stream());
}

void log_softmax_gather_backward(Call& call) {
  call.expect(0, "dlogprob", at::kFloat);
  call.expect(2, "targets", at::kLong);
  call.expect(3, "lse", at::kFloat);
  cuda::log_softmax_gather_backward(logits(call, 1, call.integer(4)), call.data<float>(0),
                                    call.data(1), call.data<int64_t>(2), call.data<float>(3),
                                    call.result(0), call.stream());
}

void sample(Call& call) {
  call.expect(1, "keys", at::kLong);
  const Logits size = logits(call, 0, call.integer(2));
  const float temperature = call.real(4);
  const int64_t top_k = call.integer(5);
  const float top_p = call.real(6);
  TORCH_CHECK(temperature >= 0, "sample: found temperature ", temperature, ", expected 0 or more");
  TORCH_CHECK(top_k >= 0, "sample: found top_k ", top_k, ", expected 0 (off) or more");
  TORCH_CHECK(top_p > 0 && top_p <= 1, "sample: found top_p ", top_p,
              ", expected more than 0 and at most 1 (off)");
  Draw draw{call.data<int64_t>(1), static_cast<uint64_t>(call.integer(3)), temperature, nullptr};
  at::Tensor kept;
  if (temperature > 0 && (top_k > 0 || top_p < 1.0f) && size.rows > 0) {
    const auto options = call.tensor(0).options();
    const at::Tensor order = at::empty({size.rows, size.vocab}, options.dtype(at::kInt));
    cuda::sample_order(size, call.data(0), temperature, order.mutable_data_ptr<int32_t>(),
                       call.stream());
    const at::Tensor ids =
        std::get<1>(at::sort(order, /*stable=*/true, /*dim=*/-1, /*descending=*/true));
    kept = at::empty({size.rows, size.vocab}, options.dtype(at::kByte));
    cuda::sample_filter(size, call.data(0), temperature, ids.const_data_ptr<int64_t>(), top_k,
                        top_p, call.workspace(size.rows * size.vocab),
                        kept.mutable_data_ptr<uint8_t>(), call.stream());
    draw.kept = kept.const_data_ptr<uint8_t>();
  }
  cuda::sample(size, call.data(0), draw, call.workspace(sample_workspace(size)),
               call.result<int64_t>(0), call.result<float>(1), call.stream());
}

void digest_sums(Call& call) {
  const at::Tensor& x = call.tensor(0);
  cuda::digest_sums(x.const_data_ptr(), x.numel(), x.element_size(), call.result<int64_t>(0),
                    call.stream());
}

void digest_rows(Call& call) {
  const std::vector<at::Tensor> tensors = call.arg(0).toTensorVector();
  const std::vector<int64_t> widths = call.arg(1).toIntVector();
  const std::vector<int64_t> rows = call.arg(2).toIntVector();
  std::vector<at::Tensor> contiguous;  // until the launch
  std::vector<DigestedValue> values;
  for (size_t k = 0; k < tensors.size(); ++k) {
    constexpr int64_t kMost = std::numeric_limits<uint32_t>::max();
    const at::Tensor& x = contiguous.emplace_back(tensors[k].contiguous());
    TORCH_CHECK(x.numel() <= kMost && widths[k] <= kMost, "digest_rows: value ", k, " has ",
                x.numel(), " elements in rows of ", widths[k], ", expected at most ", kMost);
    values.push_back({x.const_data_ptr(), static_cast<uint32_t>(x.numel()),
                      static_cast<uint32_t>(widths[k]), /*first_block=*/0,
                      static_cast<int16_t>(rows[k]), static_cast<int16_t>(x.element_size())});
  }
  SideStream* side = SideStream::current();
  cuda::digest_rows(values.data(), static_cast<int64_t>(values.size()), call.data<int64_t>(3),
                    call.result<int64_t>(0), side ? side->fork(contiguous) : call.stream());
}

void mark(Call&) {}

TORCH_LIBRARY_IMPL(samebits, CUDA, m) {
  m.impl("linear", kernel<linear>());
  m.impl("linear_dgrad", kernel<linear_dgrad>());
  m.impl("linear_residual_add", kernel<linear_residual_add>());
  m.impl("linear_wgrad", kernel<linear_wgrad>());
  m.impl("rms_norm", kernel<rms_norm>());
  m.impl("rms_norm_dgrad", kernel<rms_norm_dgrad>());
  m.impl("rms_norm_wgrad", kernel<rms_norm_wgrad>());
  m.impl("residual_rms_norm", kernel<residual_rms_norm>());
  m.impl("rms_norm_linear_qkv", kernel<rms_norm_linear_qkv>());
  m.impl("rms_norm_linear_silu_mul", kernel<rms_norm_linear_silu_mul>());
  m.impl("rope", kernel<rope>());
  m.impl("rms_norm_rope", kernel<rms_norm_rope>());
  m.impl("silu_mul", kernel<silu_mul>());
  m.impl("silu_mul_backward", kernel<silu_mul_backward>());
  m.impl("residual_add", kernel<residual_add>());
  m.impl("embedding", kernel<embedding>());
  m.impl("embedding_wgrad", kernel<embedding_wgrad>());
  m.impl("log_softmax_gather", kernel<log_softmax_gather>());
  m.impl("log_softmax_gather_backward", kernel<log_softmax_gather_backward>());
  m.impl("sample", kernel<sample>());
  m.impl("digest_sums", kernel<digest_sums>());
  m.impl("digest_rows", kernel<digest_rows>());
  m.impl("mark", kernel<mark>());
}

}  // namespace
}  // namespace samebits::cuda
