#include "harness/kernels/flash_attention.h"

#include "harness/kernels/functional.h"
#include "harness/kernels/ops/gradient.h"
#include "harness/kernels/ops/operator.h"
#include "harness/kernels/ops/shapes.h"

namespace samebits {
namespace {

void check_attention(const char* op, const at::Tensor& q, const at::Tensor& k,
                     const at::Tensor& v) {
  check_rank(op, "q", q, 4);
  check_rank(op, "k", k, 4);
  check_same_sizes(op, "a size of v", v.sym_sizes(), k.sym_sizes());
  check_equal(op, "the number of keys", k.sym_size(1), q.sym_size(1));
  check_equal(op, "the head size of k", k.sym_size(3), q.sym_size(3));
}

Metas flash_attention_shapes(Args args) {
  const auto& q = args[0].toTensor();
  check_attention("flash_attention", q, args[1].toTensor(), args[2].toTensor());
  check_rank("flash_attention", "cu_seqlens", args[3].toTensor(), 1);
  return {like(q), {{q.sym_size(0), q.sym_size(1), q.sym_size(2)}, c10::kFloat}};
}

Metas flash_attention_backward_shapes(Args args) {
  const auto& q = args[1].toTensor();
  const auto& k = args[2].toTensor();
  const auto& v = args[3].toTensor();
  check_attention("flash_attention_backward", q, k, v);
  check_same_sizes("flash_attention_backward", "a size of dout", args[0].toTensor().sym_sizes(),
                   q.sym_sizes());
  return {like(q), like(k), like(v)};
}

Metas paged_attention_shapes(Args args) {
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

Metas write_kv_shapes(Args args) {
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

struct FlashAttention : Function<FlashAttention> {
  static variable_list forward(AutogradContext* ctx, const at::Tensor& q, const at::Tensor& k,
                               const at::Tensor& v, const at::Tensor& cu_seqlens, double scale) {
    const at::AutoDispatchBelowADInplaceOrView guard;
    ctx->set_materialize_grads(false);
    ctx->saved_data["scale"] = scale;
    auto [out, lse] = ops::flash_attention(q, k, v, cu_seqlens, scale);
    ctx->save_for_backward({q, k, v, out, lse, cu_seqlens});
    ctx->mark_non_differentiable({lse});
    return {out, lse};
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    refuse_second_derivative("flash_attention");
    if (!grads[0].defined()) return {{}, {}, {}, {}, {}};
    const auto saved = ctx->get_saved_variables();
    auto [dq, dk, dv] =
        ops::flash_attention_backward(grads[0], saved[0], saved[1], saved[2], saved[3], saved[4],
                                      saved[5], ctx->saved_data["scale"].toDouble());
    return {dq, dk, dv, {}, {}};
  }
};

std::tuple<at::Tensor, at::Tensor> flash_attention_with_gradient(const at::Tensor& q,
                                                                 const at::Tensor& k,
                                                                 const at::Tensor& v,
                                                                 const at::Tensor& cu_seqlens,
                                                                 double scale) {
  auto outputs = FlashAttention::apply(q, k, v, cu_seqlens, scale);
  return {outputs[0], outputs[1]};
}

TORCH_LIBRARY_FRAGMENT(samebits, m) {
  // flash_attention.h: q [1, T, H, D], k and v [1, T, G, D], cu_seqlens int32 [S + 1] -> out as q,
  // lse float32 [1, T, H]. Causal within each sequence.
  define(m,
         "flash_attention(Tensor q, Tensor k, Tensor v, Tensor cu_seqlens, float scale) -> "
         "(Tensor out, Tensor lse)",
         flash_attention_shapes, {.is_replayable = true, .is_attention = true},
         flash_attention_with_gradient);
  define(m,
         "flash_attention_backward(Tensor dout, Tensor q, Tensor k, Tensor v, Tensor out, "
         "Tensor lse, Tensor cu_seqlens, float scale) -> (Tensor dq, Tensor dk, Tensor dv)",
         flash_attention_backward_shapes, {.is_replayable = true});
  // The same over a paged cache: k_cache and v_cache [blocks, block_size, G, D], block_table int32
  // [S, max_blocks], seq_lens int32 [S] (keys of each sequence, its new ones included).
  define(m,
         "paged_attention(Tensor q, Tensor k_cache, Tensor v_cache, Tensor block_table, "
         "Tensor cu_seqlens, Tensor seq_lens, float scale) -> Tensor",
         paged_attention_shapes, {.is_replayable = true, .is_attention = true});
  // k, v [1, T, G, D] into rows `slots` (int64 [T], block * block_size + offset) of the caches.
  define(m,
         "write_kv(Tensor(a!) k_cache, Tensor(b!) v_cache, Tensor k, Tensor v, Tensor slots) "
         "-> ()",
         write_kv_shapes, {.is_replayable = true});
}

}  // namespace

std::tuple<at::Tensor, at::Tensor> ops::flash_attention(const at::Tensor& q, const at::Tensor& k,
                                                        const at::Tensor& v,
                                                        const at::Tensor& cu_seqlens,
                                                        double scale) {
  static const Operator<decltype(flash_attention)> op("samebits::flash_attention");
  return op(q, k, v, cu_seqlens, scale);
}

std::tuple<at::Tensor, at::Tensor, at::Tensor> ops::flash_attention_backward(
    const at::Tensor& dout, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
    const at::Tensor& out, const at::Tensor& lse, const at::Tensor& cu_seqlens, double scale) {
  static const Operator<decltype(flash_attention_backward)> op(
      "samebits::flash_attention_backward");
  return op(dout, q, k, v, out, lse, cu_seqlens, scale);
}

at::Tensor ops::paged_attention(const at::Tensor& q, const at::Tensor& k_cache,
                                const at::Tensor& v_cache, const at::Tensor& block_table,
                                const at::Tensor& cu_seqlens, const at::Tensor& seq_lens,
                                double scale) {
  static const Operator<decltype(paged_attention)> op("samebits::paged_attention");
  return op(q, k_cache, v_cache, block_table, cu_seqlens, seq_lens, scale);
}

void ops::write_kv(const at::Tensor& k_cache, const at::Tensor& v_cache, const at::Tensor& k,
                   const at::Tensor& v, const at::Tensor& slots) {
  static const Operator<decltype(write_kv)> op("samebits::write_kv");
  op(k_cache, v_cache, k, v, slots);
}

}  // namespace samebits
