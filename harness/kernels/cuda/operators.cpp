// The contract list on the card: from tensors to launchers.h. Shapes are checked, and results
// allocated, by the shape rules that DTensor and the tracer use.

#include <ATen/ops/empty.h>
#include <ATen/ops/sort.h>
#include <c10/cuda/CUDAGuard.h>
#include <torch/library.h>

#include <utility>

#include "harness/kernels/clip_scale.h"
#include "harness/kernels/cuda/boxed.h"
#include "harness/kernels/cuda/launchers.h"
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

void multiply(Call& call, const Operand& a, const Operand& b, int64_t m, int64_t n, int64_t k,
              int64_t slice, bool bf16) {
  TORCH_CHECK(slice >= 0, "samebits::linear: slice is ", slice, ", expected 0 or more");
  const at::Tensor& out = call.result_tensor(0);
  cuda::gemm({a, b, out.mutable_data_ptr(), m, n, k, slice, bf16,
              out.scalar_type() == at::kBFloat16, call.workspace(gemm_workspace(m, n, k, slice))},
             call.stream());
}

void linear(Call& call) {
  const at::Tensor& x = call.tensor(0);
  const at::Tensor& weight = call.tensor(1);
  call.expect_like(0, "x", 1);
  multiply(call, by_rows(x), by_rows(weight), rows_of(x), weight.size(0), weight.size(1),
           call.integer(2), call.is_bf16(1));
}

void linear_dgrad(Call& call) {
  const at::Tensor& weight = call.tensor(1);
  const at::Tensor dy = call.tensor(0).to(weight.scalar_type());
  multiply(call, by_rows(dy), by_columns(weight), rows_of(dy), weight.size(1), weight.size(0),
           call.integer(2), call.is_bf16(1));
}

void linear_wgrad(Call& call) {
  const at::Tensor& x = call.tensor(1);
  const at::Tensor dy = call.tensor(0).to(x.scalar_type());
  multiply(call, by_columns(dy), by_columns(x), last(dy), last(x), rows_of(x), /*slice=*/0,
           call.is_bf16(1));
}

// ---- rows --------------------------------------------------------------------------------------
Rows rows(const Call& call, size_t x) {
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

Rotation rotation(const Call& call, size_t cos) {
  const at::Tensor& x = call.tensor(0);
  call.expect(cos, "cos", at::kFloat);
  call.expect(cos + 1, "sin", at::kFloat);
  call.expect(cos + 2, "positions", at::kLong);
  return {x.size(0) * x.size(1),
          x.size(2),
          x.size(3),
          call.tensor(cos).size(0),
          call.data<float>(cos),
          call.data<float>(cos + 1),
          call.data<int64_t>(cos + 2),
          call.is_bf16(0)};
}

void rope(Call& call) {
  cuda::rope(rotation(call, 1), call.data(0), call.result(0), call.flag(4), call.stream());
}

void rms_norm_rope(Call& call) {
  call.expect_like(1, "weight", 0);
  cuda::rms_norm_rope(rotation(call, 3), call.data(0), call.data(1), call.real(2), call.result(0),
                      call.result(1), call.stream());
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
  TORCH_CHECK(vocab >= 1 && vocab <= last(tensor), "found vocab ", vocab, ", expected 1 to the ",
              last(tensor), " columns of logits");
  return {rows_of(tensor), last(tensor), vocab, call.is_bf16(x)};
}

void log_softmax_gather(Call& call) {
  call.expect(1, "targets", at::kLong);
  cuda::log_softmax_gather(logits(call, 0, call.integer(2)), call.data(0), call.data<int64_t>(1),
                           call.result<float>(0), call.result<float>(1), call.stream());
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
  cuda::sample(size, call.data(0), draw, call.result<int64_t>(0), call.result<float>(1),
               call.stream());
}

// ---- loss and optimizer ------------------------------------------------------------------------
// Arguments from `first` on: logprobs, reference, advantage, tokens, sequences, clip, entropy, kl.
Loss loss(const Call& call, size_t first) {
  call.expect(first, "logprobs", at::kFloat);
  call.expect(first + 1, "reference", at::kFloat);
  call.expect(first + 2, "advantage", at::kFloat);
  call.expect(first + 3, "tokens", at::kLong);
  const int64_t sequences = call.integer(first + 4);
  TORCH_CHECK(sequences >= 1, "grpo_loss: found ", sequences, " sequences, expected 1 or more");
  const float clip = call.real(first + 5);
  return {call.tensor(first).numel(),
          call.data<float>(first),
          call.data<float>(first + 1),
          call.data<float>(first + 2),
          call.data<int64_t>(first + 3),
          static_cast<float>(sequences),
          1.0f - clip,
          1.0f + clip,
          call.real(first + 6),
          call.real(first + 7)};
}

void grpo_loss(Call& call) {
  cuda::grpo_loss(loss(call, 0), call.result<float>(0), call.result<float>(1), call.stream());
}

void grpo_loss_backward(Call& call) {
  call.expect(0, "dloss", at::kFloat);
  cuda::grpo_loss_backward(loss(call, 1), call.data<float>(0), call.result<float>(0),
                           call.stream());
}

void sum_squares(Call& call) {
  const at::Tensor& x = call.tensor(0);
  const int64_t dim = call.integer(1);
  const int64_t slice = call.integer(2);
  TORCH_CHECK(slice >= 0, "sum_squares: found slice ", slice, ", expected 0 (one slice) or more");
  TORCH_CHECK(slice == 0 || (dim >= 0 && dim < x.dim()), "sum_squares: found dim ", dim,
              ", expected one in [0, ", x.dim(), ")");
  Squares size{1, x.numel(), 1, slice, call.is_bf16(0)};
  if (slice > 0) {
    size.outer = c10::multiply_integers(x.sizes().slice(0, dim));
    size.dim = x.size(dim);
    size.inner = c10::multiply_integers(x.sizes().slice(dim + 1));
  }
  cuda::sum_squares(size, call.data(0), call.result<float>(0),
                    call.workspace(sum_squares_workspace(size)), call.stream());
}

void clip_scale(Call& call) {
  std::vector<const float*> squares;
  for (const at::Tensor& square : call.arg(0).toTensorVector()) {
    squares.push_back(square.const_data_ptr<float>());
  }
  TORCH_CHECK(!squares.empty(), "clip_scale: found no squares, expected one or more");
  cuda::clip_scale(squares.data(), static_cast<int64_t>(squares.size()), call.real(1),
                   call.result<float>(0), call.result<float>(1), call.stream());
}

// Written in place, so these may not be copies.
void check_in_place(const c10::IValue& arg, const char* op, const char* name) {
  TORCH_CHECK(!arg.isTensor() || arg.toTensor().is_contiguous(), op, ": ", name,
              " is not contiguous");
}

void adamw(Call& call) {
  for (const size_t i : {0, 1, 2, 3}) check_in_place(call.arg(i), "adamw_", "its state");
  const bool has_master = call.arg(1).isTensor();
  for (const size_t i : {2, 3}) call.expect(i, "a moment", at::kFloat);
  if (has_master) call.expect(1, "master", at::kFloat);
  call.expect(5, "scale", at::kFloat);
  call.expect(6, "step", at::kLong);
  const bool float_grad = call.tensor(4).scalar_type() == at::kFloat;
  if (!float_grad) call.expect_like(4, "grad", 0);
  cuda::adamw({call.tensor(0).numel(), call.is_bf16(0), float_grad, call.data(0),
               has_master ? call.data<float>(1) : nullptr, call.data<float>(2), call.data<float>(3),
               call.data(4), call.data<float>(5), call.data<int64_t>(6),
               AdamwSettings{call.arg(7).toDouble(), call.arg(8).toDouble(), call.arg(9).toDouble(),
                             call.arg(10).toDouble(), call.arg(11).toDouble()}},
              call.stream());
}

// ---- attention ---------------------------------------------------------------------------------
Attention attention(const Call& call, size_t q, size_t k, const at::Tensor& cu_seqlens,
                    size_t scale) {
  const at::Tensor& queries = call.tensor(q);
  const at::Tensor& keys = call.tensor(k);
  call.expect_like(k, "k", q);
  call.expect_like(k + 1, "v", q);
  TORCH_CHECK(queries.size(0) == 1, "attention: q has sizes ", queries.sizes(),
              ", expected [1, T, H, D]");
  TORCH_CHECK(keys.size(2) > 0 ? queries.size(2) % keys.size(2) == 0 : queries.size(2) == 0,
              "attention: q has ", queries.size(2), " heads, expected a multiple of the ",
              keys.size(2), " of k");
  TORCH_CHECK(queries.size(3) <= 256, "attention: found head size ", queries.size(3),
              ", expected at most 256 on a card");
  return {queries.size(1),
          cu_seqlens.size(0) - 1,
          queries.size(2),
          keys.size(2),
          queries.size(3),
          call.real(scale),
          cu_seqlens.const_data_ptr<int32_t>(),
          call.is_bf16(q)};
}

void flash_attention(Call& call) {
  const at::Tensor cu_seqlens = call.as_int32(3, "cu_seqlens");
  cuda::flash_attention(attention(call, 0, 1, cu_seqlens, 4), Pages{}, call.data(0), call.data(1),
                        call.data(2), call.result(0), call.result<float>(1), call.stream());
}

void flash_attention_backward(Call& call) {
  const at::Tensor cu_seqlens = call.as_int32(6, "cu_seqlens");
  call.expect_like(0, "dout", 1);
  call.expect_like(4, "out", 1);
  call.expect(5, "lse", at::kFloat);
  const Attention size = attention(call, 1, 2, cu_seqlens, 7);
  cuda::flash_attention_backward(size, call.data(0), call.data(1), call.data(2), call.data(3),
                                 call.data(4), call.data<float>(5),
                                 call.workspace(size.tokens * size.heads), call.result(0),
                                 call.result(1), call.result(2), call.stream());
}

void paged_attention(Call& call) {
  check_in_place(call.arg(1), "paged_attention", "k_cache");
  const at::Tensor block_table = call.as_int32(3, "block_table");
  const at::Tensor cu_seqlens = call.as_int32(4, "cu_seqlens");
  const at::Tensor seq_lens = call.as_int32(5, "seq_lens");
  const at::Tensor& cache = call.tensor(1);
  const Pages pages{block_table.const_data_ptr<int32_t>(), seq_lens.const_data_ptr<int32_t>(),
                    block_table.size(1), cache.size(0), cache.size(1)};
  cuda::flash_attention(attention(call, 0, 1, cu_seqlens, 6), pages, call.data(0), call.data(1),
                        call.data(2), call.result(0), /*lse=*/nullptr, call.stream());
}

void write_kv(Call& call) {
  const at::Tensor& cache = call.tensor(0);
  for (const size_t i : {1, 2, 3}) call.expect_like(i, "k, v or a cache", 0);
  const at::Tensor slots = call.tensor(4).to(at::kLong);
  const int64_t row_bytes = cache.size(2) * cache.size(3) * cache.element_size();
  cuda::write_kv(slots.numel(), row_bytes, cache.size(0) * cache.size(1),
                 slots.const_data_ptr<int64_t>(), call.data(2), call.data(3), call.data(0),
                 call.data(1), call.stream());
}

void mark(Call&) {}

// Takes the arguments off the stack and leaves the results.
template <void (*kRun)(Call&), size_t kWritten>
void boxed(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  const std::string name = op.schema().name().substr(op.schema().name().find("::") + 2);
  std::vector<c10::IValue> args = torch::jit::pop(*stack, op.schema().arguments().size());
  for (size_t i = 0; i < kWritten; ++i) check_in_place(args[i], name.c_str(), "what it writes");
  c10::cuda::OptionalCUDAGuard guard;
  if (args[0].isTensor()) guard.set_device(args[0].toTensor().device());
  Call call(name, std::move(args));
  kRun(call);
  for (const at::Tensor& result : call.results()) stack->emplace_back(result);
}

template <void (*kRun)(Call&), size_t kWritten = 0>
torch::CppFunction kernel() {
  return torch::CppFunction::makeFromBoxedFunction<&boxed<kRun, kWritten>>();
}

TORCH_LIBRARY_IMPL(samebits, CUDA, m) {
  m.impl("linear", kernel<linear>());
  m.impl("linear_dgrad", kernel<linear_dgrad>());
  m.impl("linear_wgrad", kernel<linear_wgrad>());
  m.impl("rms_norm", kernel<rms_norm>());
  m.impl("rms_norm_dgrad", kernel<rms_norm_dgrad>());
  m.impl("rms_norm_wgrad", kernel<rms_norm_wgrad>());
  m.impl("residual_rms_norm", kernel<residual_rms_norm>());
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
  m.impl("grpo_loss", kernel<grpo_loss>());
  m.impl("grpo_loss_backward", kernel<grpo_loss_backward>());
  m.impl("sum_squares", kernel<sum_squares>());
  m.impl("clip_scale", kernel<clip_scale>());
  m.impl("adamw_", kernel<adamw, /*written=*/4>());
  m.impl("flash_attention", kernel<flash_attention>());
  m.impl("flash_attention_backward", kernel<flash_attention_backward>());
  m.impl("paged_attention", kernel<paged_attention>());
  m.impl("write_kv", kernel<write_kv, /*written=*/2>());
  m.impl("mark", kernel<mark>());
}

}  // namespace
}  // namespace samebits::cuda
