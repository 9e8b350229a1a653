// Shape rules of the contract list. Dimensions that must agree are compared once, as SymBool, so
// that equal symbolic expressions add no guard; nothing else about a size is asked.

#include <c10/core/SymBool.h>

#include "harness/kernels/digest_rows.h"
#include "harness/kernels/shape_rule.h"

namespace samebits {
namespace {

using Args = c10::ArrayRef<c10::IValue>;
using Metas = std::vector<TensorMeta>;

std::vector<c10::SymInt> sizes_of(const at::Tensor& x) { return x.sym_sizes().vec(); }

TensorMeta like(const at::Tensor& x) { return {sizes_of(x), x.scalar_type()}; }

// The sizes of `x` with `last` in the place of its last one.
std::vector<c10::SymInt> with_last(const at::Tensor& x, c10::SymInt last) {
  auto sizes = sizes_of(x);
  TORCH_CHECK(!sizes.empty(), "expected at least one dimension, found a scalar");
  sizes.back() = std::move(last);
  return sizes;
}

void check_rank(const char* op, const char* name, const at::Tensor& x, int64_t rank) {
  TORCH_CHECK(x.dim() == rank, op, ": ", name, " has ", x.dim(), " dimensions, expected ", rank);
}

void check_at_least_1d(const char* op, const char* name, const at::Tensor& x) {
  TORCH_CHECK(x.dim() >= 1, op, ": ", name, " is a scalar, expected at least one dimension");
}

void check_equal(const char* op, const char* what, const c10::SymInt& found,
                 const c10::SymInt& expected) {
  TORCH_SYM_CHECK(found.sym_eq(expected), op, ": ", what, " is ", found, ", expected ", expected);
}

void check_same_sizes(const char* op, const char* what, c10::SymIntArrayRef found,
                      c10::SymIntArrayRef expected) {
  TORCH_CHECK(found.size() == expected.size(), op, ": ", what, " has ", found.size(),
              " dimensions, expected ", expected.size());
  for (size_t i = 0; i < found.size(); ++i) check_equal(op, what, found[i], expected[i]);
}

// Leading sizes, all but the last one.
c10::SymIntArrayRef leading(const at::Tensor& x) {
  return x.sym_sizes().slice(0, static_cast<size_t>(x.dim()) - 1);
}

Metas linear(Args args) {
  const auto& x = args[0].toTensor();
  const auto& weight = args[1].toTensor();
  check_at_least_1d("linear", "x", x);
  check_rank("linear", "weight", weight, 2);
  check_equal("linear", "the last size of x", x.sym_size(-1), weight.sym_size(1));
  return {{with_last(x, weight.sym_size(0)), args[4].toScalarType()}};
}

Metas linear_dgrad(Args args) {
  const auto& dy = args[0].toTensor();
  const auto& weight = args[1].toTensor();
  check_at_least_1d("linear_dgrad", "dy", dy);
  check_rank("linear_dgrad", "weight", weight, 2);
  check_equal("linear_dgrad", "the last size of dy", dy.sym_size(-1), weight.sym_size(0));
  return {{with_last(dy, weight.sym_size(1)), c10::kFloat}};
}

Metas linear_wgrad(Args args) {
  const auto& dy = args[0].toTensor();
  const auto& x = args[1].toTensor();
  check_at_least_1d("linear_wgrad", "dy", dy);
  check_at_least_1d("linear_wgrad", "x", x);
  check_same_sizes("linear_wgrad", "a leading size of dy", leading(dy), leading(x));
  return {{{dy.sym_size(-1), x.sym_size(-1)}, x.scalar_type()}};
}

Metas rms_norm(Args args) {
  const auto& x = args[0].toTensor();
  const auto& weight = args[1].toTensor();
  check_at_least_1d("rms_norm", "x", x);
  check_rank("rms_norm", "weight", weight, 1);
  check_equal("rms_norm", "the last size of x", x.sym_size(-1), weight.sym_size(0));
  return {like(x)};
}

Metas rms_norm_dgrad(Args args) {
  const auto& x = args[1].toTensor();
  check_at_least_1d("rms_norm_dgrad", "x", x);
  check_same_sizes("rms_norm_dgrad", "a size of dy", args[0].toTensor().sym_sizes(), x.sym_sizes());
  check_equal("rms_norm_dgrad", "the last size of x", x.sym_size(-1),
              args[2].toTensor().sym_size(0));
  return {like(x)};
}

Metas rms_norm_wgrad(Args args) {
  const auto& x = args[1].toTensor();
  check_at_least_1d("rms_norm_wgrad", "x", x);
  check_same_sizes("rms_norm_wgrad", "a size of dy", args[0].toTensor().sym_sizes(), x.sym_sizes());
  return {{{x.sym_size(-1)}, x.scalar_type()}};
}

Metas rope(Args args) {
  const auto& x = args[0].toTensor();
  const auto& cos = args[1].toTensor();
  check_rank("rope", "x", x, 4);
  check_rank("rope", "cos", cos, 2);
  check_same_sizes("rope", "a size of sin", args[2].toTensor().sym_sizes(), cos.sym_sizes());
  check_same_sizes("rope", "a size of positions", args[3].toTensor().sym_sizes(),
                   x.sym_sizes().slice(0, 2));
  check_equal("rope", "the last size of x", x.sym_size(-1), cos.sym_size(1) * 2);
  return {like(x)};
}

Metas rms_norm_rope(Args args) {
  rms_norm(args.slice(0, 2));
  const c10::IValue as_rope[] = {args[0], args[3], args[4], args[5]};
  rope(as_rope);
  return {like(args[0].toTensor()), like(args[0].toTensor())};
}

Metas silu_mul(Args args) {
  const auto& gate = args[0].toTensor();
  check_same_sizes("silu_mul", "a size of up", args[1].toTensor().sym_sizes(), gate.sym_sizes());
  return {like(gate)};
}

Metas silu_mul_backward(Args args) {
  const auto& gate = args[1].toTensor();
  check_same_sizes("silu_mul_backward", "a size of dy", args[0].toTensor().sym_sizes(),
                   gate.sym_sizes());
  check_same_sizes("silu_mul_backward", "a size of up", args[2].toTensor().sym_sizes(),
                   gate.sym_sizes());
  return {like(gate), like(gate)};
}

Metas residual_add(Args args) {
  const auto& x = args[0].toTensor();
  check_same_sizes("residual_add", "a size of y", args[1].toTensor().sym_sizes(), x.sym_sizes());
  return {like(x)};
}

Metas residual_rms_norm(Args args) {
  const auto& x = args[0].toTensor();
  const auto& weight = args[2].toTensor();
  check_at_least_1d("residual_rms_norm", "x", x);
  check_same_sizes("residual_rms_norm", "a size of y", args[1].toTensor().sym_sizes(),
                   x.sym_sizes());
  check_rank("residual_rms_norm", "weight", weight, 1);
  check_equal("residual_rms_norm", "the last size of x", x.sym_size(-1), weight.sym_size(0));
  return {like(x), like(x)};
}

Metas linear_residual_add(Args args) {
  const auto& residual = args[4].toTensor();
  const c10::IValue as_linear[] = {args[0], args[1], args[2], /*dgrad_slice=*/0, args[3]};
  const TensorMeta y = linear(as_linear)[0];
  check_same_sizes("linear_residual_add", "a size of residual", residual.sym_sizes(), y.sizes);
  return {y, like(residual)};
}

// The norm of args[0], and its products with `weights` of the arguments from 3 on.
Metas rms_norm_linears(Args args, size_t weights) {
  Metas metas = rms_norm(args.slice(0, 2));
  for (size_t i = 3; i < 3 + weights; ++i) {
    const c10::IValue as_linear[] = {args[0], args[i], 0, 0, args[3 + weights]};
    metas.push_back(linear(as_linear)[0]);
  }
  return metas;
}

Metas rms_norm_linear_qkv(Args args) { return rms_norm_linears(args, 3); }

Metas rms_norm_linear_silu_mul(Args args) {
  Metas metas = rms_norm_linears(args, 2);
  check_same_sizes("rms_norm_linear_silu_mul", "a size of up", metas[2].sizes, metas[1].sizes);
  metas.push_back(metas[1]);
  return metas;
}

Metas embedding(Args args) {
  const auto& weight = args[1].toTensor();
  check_rank("embedding", "weight", weight, 2);
  auto sizes = sizes_of(args[0].toTensor());
  sizes.push_back(weight.sym_size(1));
  return {{std::move(sizes), weight.scalar_type()}};
}

Metas embedding_wgrad(Args args) {
  const auto& dy = args[0].toTensor();
  const auto& weight = args[2].toTensor();
  check_at_least_1d("embedding_wgrad", "dy", dy);
  check_rank("embedding_wgrad", "weight", weight, 2);
  check_same_sizes("embedding_wgrad", "a leading size of dy", leading(dy),
                   args[1].toTensor().sym_sizes());
  check_equal("embedding_wgrad", "the last size of dy", dy.sym_size(-1), weight.sym_size(1));
  return {like(weight)};
}

void check_attention(const char* op, const at::Tensor& q, const at::Tensor& k,
                     const at::Tensor& v) {
  check_rank(op, "q", q, 4);
  check_rank(op, "k", k, 4);
  check_same_sizes(op, "a size of v", v.sym_sizes(), k.sym_sizes());
  check_equal(op, "the number of keys", k.sym_size(1), q.sym_size(1));
  check_equal(op, "the head size of k", k.sym_size(3), q.sym_size(3));
}

Metas flash_attention(Args args) {
  const auto& q = args[0].toTensor();
  check_attention("flash_attention", q, args[1].toTensor(), args[2].toTensor());
  check_rank("flash_attention", "cu_seqlens", args[3].toTensor(), 1);
  return {like(q), {{q.sym_size(0), q.sym_size(1), q.sym_size(2)}, c10::kFloat}};
}

Metas flash_attention_backward(Args args) {
  const auto& q = args[1].toTensor();
  const auto& k = args[2].toTensor();
  const auto& v = args[3].toTensor();
  check_attention("flash_attention_backward", q, k, v);
  check_same_sizes("flash_attention_backward", "a size of dout", args[0].toTensor().sym_sizes(),
                   q.sym_sizes());
  return {like(q), like(k), like(v)};
}

Metas paged_attention(Args args) {
  const auto& q = args[0].toTensor();
  const auto& k_cache = args[1].toTensor();
  check_rank("paged_attention", "q", q, 4);
  check_rank("paged_attention", "k_cache", k_cache, 4);
  check_same_sizes("paged_attention", "a size of v_cache", args[2].toTensor().sym_sizes(),
                   k_cache.sym_sizes());
  check_equal("paged_attention", "the head size of k_cache", k_cache.sym_size(3), q.sym_size(3));
  check_rank("paged_attention", "block_table", args[3].toTensor(), 2);
  check_equal("paged_attention", "the number of seq_lens", args[5].toTensor().sym_size(0),
              args[3].toTensor().sym_size(0));
  return {like(q)};
}

Metas write_kv(Args args) {
  const auto& k_cache = args[0].toTensor();
  const auto& k = args[2].toTensor();
  check_rank("write_kv", "k", k, 4);
  check_rank("write_kv", "k_cache", k_cache, 4);
  check_same_sizes("write_kv", "a size of v_cache", args[1].toTensor().sym_sizes(),
                   k_cache.sym_sizes());
  check_equal("write_kv", "the number of heads in k_cache", k_cache.sym_size(2), k.sym_size(2));
  check_equal("write_kv", "the head size of k_cache", k_cache.sym_size(3), k.sym_size(3));
  check_same_sizes("write_kv", "a size of v", args[3].toTensor().sym_sizes(), k.sym_sizes());
  check_rank("write_kv", "slots", args[4].toTensor(), 1);
  check_equal("write_kv", "the number of slots", args[4].toTensor().sym_size(0), k.sym_size(1));
  return {};
}

Metas rms_norm_rope_write_kv(Args args) {
  const c10::IValue as_write[] = {args[6], args[7], args[0], args[8], args[9]};
  write_kv(as_write);
  return rms_norm_rope(args.slice(0, 6));
}

Metas rms_norm_rope_qk_write_kv(Args args) {
  const c10::IValue as_q[] = {args[0], args[1], args[4], args[5], args[6], args[7]};
  Metas metas = rms_norm_rope(as_q);
  const c10::IValue as_k[] = {args[2], args[3], args[4], args[5],  args[6],
                              args[7], args[8], args[9], args[10], args[11]};
  for (TensorMeta& meta : rms_norm_rope_write_kv(as_k)) metas.push_back(std::move(meta));
  return metas;
}

Metas rms_norm_rope_paged_attention(Args args) {
  Metas metas = rms_norm_rope_qk_write_kv(args.slice(0, 12));
  const c10::IValue as_attention[] = {args[0],  args[8],  args[9], args[12],
                                      args[13], args[14], args[15]};
  metas.push_back(paged_attention(as_attention)[0]);
  return metas;
}

Metas log_softmax_gather(Args args) {
  const auto& logits = args[0].toTensor();
  const auto& targets = args[1].toTensor();
  check_at_least_1d("log_softmax_gather", "logits", logits);
  check_same_sizes("log_softmax_gather", "a size of targets", targets.sym_sizes(), leading(logits));
  return {{sizes_of(targets), c10::kFloat}, {sizes_of(targets), c10::kFloat}};
}

Metas log_softmax_gather_backward(Args args) {
  const auto& logits = args[1].toTensor();
  const char* op = "log_softmax_gather_backward";
  check_at_least_1d(op, "logits", logits);
  check_same_sizes(op, "a size of dlogprob", args[0].toTensor().sym_sizes(), leading(logits));
  check_same_sizes(op, "a size of targets", args[2].toTensor().sym_sizes(), leading(logits));
  check_same_sizes(op, "a size of lse", args[3].toTensor().sym_sizes(), leading(logits));
  return {like(logits)};
}

Metas sample(Args args) {
  const auto& logits = args[0].toTensor();
  const auto& keys = args[1].toTensor();
  check_rank("sample", "logits", logits, 2);
  check_rank("sample", "keys", keys, 2);
  check_equal("sample", "the number of keys", keys.sym_size(0), logits.sym_size(0));
  check_equal("sample", "the last size of keys", keys.sym_size(1), 2);
  return {{{logits.sym_size(0)}, c10::kLong}, {{logits.sym_size(0)}, c10::kFloat}};
}

// args[first...]: logprobs, reference, advantage, tokens.
void check_grpo(const char* op, Args args, size_t first) {
  const at::Tensor& logprobs = args[first].toTensor();
  check_rank(op, "logprobs", logprobs, 1);
  check_same_sizes(op, "the size of reference", args[first + 1].toTensor().sym_sizes(),
                   logprobs.sym_sizes());
  check_rank(op, "advantage", args[first + 2].toTensor(), 0);
  check_rank(op, "tokens", args[first + 3].toTensor(), 0);
}

Metas grpo_loss(Args args) {
  check_grpo("grpo_loss", args, 0);
  return {{{}, c10::kFloat}, {{c10::SymInt(6)}, c10::kFloat}};
}

Metas grpo_loss_backward(Args args) {
  check_rank("grpo_loss_backward", "dloss", args[0].toTensor(), 0);
  check_grpo("grpo_loss_backward", args, 1);
  return {like(args[1].toTensor())};
}

Metas sum_squares(Args) { return {{{}, c10::kFloat}}; }

Metas clip_scale(Args args) {
  const auto squares = args[0].toTensorVector();
  TORCH_CHECK(!squares.empty(), "clip_scale: found no squares, expected one or more");
  for (const at::Tensor& square : squares) check_rank("clip_scale", "a square", square, 0);
  return {{{}, c10::kFloat}, {{}, c10::kFloat}};
}

Metas adamw(Args args) {
  const auto& weight = args[0].toTensor();
  for (const int i : {1, 2, 3, 4}) {
    if (!args[i].isTensor()) continue;  // no master
    check_same_sizes("adamw_", "a size of its state or gradient", args[i].toTensor().sym_sizes(),
                     weight.sym_sizes());
  }
  check_rank("adamw_", "scale", args[5].toTensor(), 0);
  check_rank("adamw_", "step", args[6].toTensor(), 0);
  return {};
}

Metas digest_sums(Args) { return {{{2}, c10::kLong}}; }

Metas digest_rows(Args args) {
  const size_t values = args[0].toListRef().size();
  const std::vector<int64_t> widths = args[1].toIntVector();
  const std::vector<int64_t> rows = args[2].toIntVector();
  const at::Tensor& sizes = args[3].toTensor();
  TORCH_CHECK(values > 0 && values <= kMaxDigestedValues, "digest_rows: found ", values,
              " values, expected 1 to ", kMaxDigestedValues);
  TORCH_CHECK(widths.size() == values && rows.size() == values, "digest_rows: found ",
              widths.size(), " widths and ", rows.size(), " rows, expected ", values, " of each");
  check_rank("digest_rows", "sizes", sizes, 1);
  TORCH_CHECK(sizes.scalar_type() == c10::kLong, "digest_rows: sizes has dtype ",
              sizes.scalar_type(), ", expected Long");
  for (size_t k = 0; k < values; ++k) {
    TORCH_CHECK(widths[k] > 0, "digest_rows: width ", k, " is ", widths[k], ", expected 1 or more");
    TORCH_CHECK(rows[k] >= -1 && rows[k] < sizes.size(0), "digest_rows: rows ", k, " is ", rows[k],
                ", expected -1 to ", sizes.size(0) - 1);
  }
  return {{{c10::SymInt(values), c10::SymInt(2)}, c10::kLong}};
}

Metas mark(Args) { return {}; }

SAMEBITS_SHAPE_RULE("samebits::linear", linear);
SAMEBITS_SHAPE_RULE("samebits::linear_dgrad", linear_dgrad);
SAMEBITS_SHAPE_RULE("samebits::linear_wgrad", linear_wgrad);
SAMEBITS_SHAPE_RULE("samebits::rms_norm", rms_norm);
SAMEBITS_SHAPE_RULE("samebits::rms_norm_dgrad", rms_norm_dgrad);
SAMEBITS_SHAPE_RULE("samebits::rms_norm_wgrad", rms_norm_wgrad);
SAMEBITS_SHAPE_RULE("samebits::rope", rope);
SAMEBITS_SHAPE_RULE("samebits::rms_norm_rope", rms_norm_rope);
SAMEBITS_SHAPE_RULE("samebits::silu_mul", silu_mul);
SAMEBITS_SHAPE_RULE("samebits::silu_mul_backward", silu_mul_backward);
SAMEBITS_SHAPE_RULE("samebits::residual_add", residual_add);
SAMEBITS_SHAPE_RULE("samebits::residual_rms_norm", residual_rms_norm);
SAMEBITS_SHAPE_RULE("samebits::linear_residual_add", linear_residual_add);
SAMEBITS_SHAPE_RULE("samebits::rms_norm_linear_qkv", rms_norm_linear_qkv);
SAMEBITS_SHAPE_RULE("samebits::rms_norm_linear_silu_mul", rms_norm_linear_silu_mul);
SAMEBITS_SHAPE_RULE("samebits::rms_norm_rope_paged_attention_", rms_norm_rope_paged_attention);
SAMEBITS_SHAPE_RULE("samebits::rms_norm_rope_qk_write_kv_", rms_norm_rope_qk_write_kv);
SAMEBITS_SHAPE_RULE("samebits::embedding", embedding);
SAMEBITS_SHAPE_RULE("samebits::embedding_wgrad", embedding_wgrad);
SAMEBITS_SHAPE_RULE("samebits::flash_attention", flash_attention);
SAMEBITS_SHAPE_RULE("samebits::flash_attention_backward", flash_attention_backward);
SAMEBITS_SHAPE_RULE("samebits::paged_attention", paged_attention);
SAMEBITS_SHAPE_RULE("samebits::write_kv", write_kv);
SAMEBITS_SHAPE_RULE("samebits::rms_norm_rope_write_kv_", rms_norm_rope_write_kv);
SAMEBITS_SHAPE_RULE("samebits::log_softmax_gather", log_softmax_gather);
SAMEBITS_SHAPE_RULE("samebits::log_softmax_gather_backward", log_softmax_gather_backward);
SAMEBITS_SHAPE_RULE("samebits::sample", sample);
SAMEBITS_SHAPE_RULE("samebits::grpo_loss", grpo_loss);
SAMEBITS_SHAPE_RULE("samebits::grpo_loss_backward", grpo_loss_backward);
SAMEBITS_SHAPE_RULE("samebits::sum_squares", sum_squares);
SAMEBITS_SHAPE_RULE("samebits::clip_scale", clip_scale);
SAMEBITS_SHAPE_RULE("samebits::adamw_", adamw);
SAMEBITS_SHAPE_RULE("samebits::digest_sums", digest_sums);
SAMEBITS_SHAPE_RULE("samebits::digest_rows", digest_rows);
SAMEBITS_SHAPE_RULE("samebits::mark", mark);

}  // namespace
}  // namespace samebits
