// Every operator of the contract list, in one block. `!` marks what an operator writes.
//
// Shapes: T tokens (of one sequence, or of several packed one after the other), H query heads, G
// key-value heads, D head_dim, V vocabulary rows (padded to a multiple of 8), S sequences.
// Each operator's arithmetic is stated in the header of its name beside this file.

#include <torch/library.h>

namespace samebits {

TORCH_LIBRARY(samebits, m) {
  // linear.h: x [..., K], weight [N, K] -> [..., N]. The sum over K is cut into chains of `slice`
  // (0: one chain). `dgrad_slice` cuts the sum over N of the input gradient in the same way.
  m.def(
      "linear(Tensor x, Tensor weight, int slice, int dgrad_slice, ScalarType out_dtype) -> "
      "Tensor");
  m.def("linear_dgrad(Tensor dy, Tensor weight, int slice) -> Tensor");  // float32 [..., K]
  m.def("linear_wgrad(Tensor dy, Tensor x) -> Tensor");                  // [N, K], dtype of x

  // rms_norm.h: x [..., D], weight [D] -> [..., D], dtype of x.
  m.def("rms_norm(Tensor x, Tensor weight, float eps, bool fused_rounding) -> Tensor");
  m.def("rms_norm_dgrad(Tensor dy, Tensor x, Tensor weight, float eps) -> Tensor");
  m.def("rms_norm_wgrad(Tensor dy, Tensor x, float eps) -> Tensor");  // [D], dtype of x

  // rope.h: x [1, T, H, D], cos and sin float32 [P, D / 2], positions int64 [1, T] -> [1, T, H, D].
  m.def("rope(Tensor x, Tensor cos, Tensor sin, Tensor positions, bool inverse) -> Tensor");

  // rms_norm_rope.h: both of the above, as two operators would do them -> both [1, T, H, D].
  m.def(
      "rms_norm_rope(Tensor x, Tensor weight, float eps, Tensor cos, Tensor sin, Tensor positions) "
      "-> (Tensor normed, Tensor rotated)");

  // silu_mul.h: gate, up [..., F] -> silu(gate) * up.
  m.def("silu_mul(Tensor gate, Tensor up, bool fused_rounding) -> Tensor");
  m.def("silu_mul_backward(Tensor dy, Tensor gate, Tensor up) -> (Tensor dgate, Tensor dup)");

  // residual_add.h: x + y, same shape.
  m.def("residual_add(Tensor x, Tensor y) -> Tensor");

  // residual_rms_norm.h: x, y [..., D], weight [D] -> both [..., D].
  m.def(
      "residual_rms_norm(Tensor x, Tensor y, Tensor weight, float eps) -> (Tensor sum, Tensor "
      "normed)");

  // linear_residual_add.h: x [..., K], weight [N, K], residual [..., N] -> both [..., N].
  m.def(
      "linear_residual_add(Tensor x, Tensor weight, int slice, ScalarType out_dtype, Tensor "
      "residual) -> (Tensor y, Tensor sum)");

  // rms_norm_linear_qkv.h: x [..., D], norm_weight [D], weights [N, D] -> [..., D], [..., N] each.
  m.def(
      "rms_norm_linear_qkv(Tensor x, Tensor norm_weight, float eps, Tensor wq, Tensor wk, Tensor "
      "wv, ScalarType out_dtype) -> (Tensor normed, Tensor q, Tensor k, Tensor v)");

  // rms_norm_linear_silu_mul.h: x [..., D], norm_weight [D], weights [F, D] -> [..., D] and
  // [..., F] each.
  m.def(
      "rms_norm_linear_silu_mul(Tensor x, Tensor norm_weight, float eps, Tensor gate_weight, "
      "Tensor up_weight, ScalarType out_dtype) -> (Tensor normed, Tensor gate, Tensor up, Tensor "
      "y)");

  // embedding.h: ids int64 [1, T], weight [rows, C] -> [1, T, C]. `first_row` is the id of the
  // weight's first row; ids outside give rows of -0, the identity of addition.
  m.def("embedding(Tensor ids, Tensor weight, int first_row) -> Tensor");
  m.def("embedding_wgrad(Tensor dy, Tensor ids, Tensor weight, int first_row) -> Tensor");

  // flash_attention.h: q [1, T, H, D], k and v [1, T, G, D], cu_seqlens int32 [S + 1] -> out as q,
  // lse float32 [1, T, H]. Causal within each sequence.
  m.def(
      "flash_attention(Tensor q, Tensor k, Tensor v, Tensor cu_seqlens, float scale) -> (Tensor "
      "out, "
      "Tensor lse)");
  m.def(
      "flash_attention_backward(Tensor dout, Tensor q, Tensor k, Tensor v, Tensor out, Tensor lse, "
      "Tensor cu_seqlens, float scale) -> (Tensor dq, Tensor dk, Tensor dv)");
  // The same over a paged cache: k_cache and v_cache [blocks, block_size, G, D], block_table int32
  // [S, max_blocks], seq_lens int32 [S] (keys of each sequence, its new ones included).
  m.def(
      "paged_attention(Tensor q, Tensor k_cache, Tensor v_cache, Tensor block_table, Tensor "
      "cu_seqlens, Tensor seq_lens, float scale) -> Tensor");
  // k, v [1, T, G, D] into rows `slots` (int64 [T], block * block_size + offset) of the caches.
  m.def("write_kv(Tensor(a!) k_cache, Tensor(b!) v_cache, Tensor k, Tensor v, Tensor slots) -> ()");

  // rms_norm_rope_write_kv.h: rms_norm_rope of x [1, T, G, D], then write_kv of what it rotated.
  m.def(
      "rms_norm_rope_write_kv_(Tensor x, Tensor weight, float eps, Tensor cos, Tensor sin, Tensor "
      "positions, Tensor(a!) k_cache, Tensor(b!) v_cache, Tensor v, Tensor slots) -> (Tensor "
      "normed, Tensor rotated)");

  // rms_norm_rope_qk_write_kv.h: both norms and rotations, q [1, T, H, D] and k [1, T, G, D], and
  // the write of what k became.
  m.def(
      "rms_norm_rope_qk_write_kv_(Tensor q, Tensor q_weight, Tensor k, Tensor k_weight, float eps, "
      "Tensor cos, Tensor sin, Tensor positions, Tensor(a!) k_cache, Tensor(b!) v_cache, Tensor v, "
      "Tensor slots) -> (Tensor q_normed, Tensor q_rotated, Tensor k_normed, Tensor k_rotated)");

  // rms_norm_rope_paged_attention.h: rms_norm_rope_qk_write_kv_, then paged_attention of what q
  // became.
  m.def(
      "rms_norm_rope_paged_attention_(Tensor q, Tensor q_weight, Tensor k, Tensor k_weight, float "
      "eps, Tensor cos, Tensor sin, Tensor positions, Tensor(a!) k_cache, Tensor(b!) v_cache, "
      "Tensor v, Tensor slots, Tensor block_table, Tensor cu_seqlens, Tensor seq_lens, float "
      "scale) -> (Tensor q_normed, Tensor q_rotated, Tensor k_normed, Tensor k_rotated, Tensor "
      "out)");

  // log_softmax.h: logits [..., V], targets int64 [...] -> logprob float32 [...], lse float32
  // [...], over the first `vocab` columns.
  m.def(
      "log_softmax_gather(Tensor logits, Tensor targets, int vocab) -> (Tensor logprob, Tensor "
      "lse)");
  m.def(
      "log_softmax_gather_backward(Tensor dlogprob, Tensor logits, Tensor targets, Tensor lse, int "
      "vocab) -> Tensor");

  // sample.h: logits [S, V], keys int64 [S, 2] (sequence, position) -> token int64 [S], logprob
  // float32 [S], under the logits as they are (temperature and filters choose, they do not score).
  m.def(
      "sample(Tensor logits, Tensor keys, int vocab, int seed, float temperature, int top_k, float "
      "top_p) -> (Tensor token, Tensor logprob)");

  // grpo_loss.h: logprobs, reference float32 [n] of one sequence's generated tokens, advantage
  // float32 [], tokens int64 [] -> loss float32 [] (this sequence's share), stats float32 [6].
  m.def(
      "grpo_loss(Tensor logprobs, Tensor reference, Tensor advantage, Tensor tokens, int "
      "sequences, "
      "float clip, float entropy, float kl) -> (Tensor loss, Tensor stats)");
  m.def(
      "grpo_loss_backward(Tensor dloss, Tensor logprobs, Tensor reference, Tensor advantage, "
      "Tensor "
      "tokens, int sequences, float clip, float entropy, float kl) -> Tensor");

  // sum_squares.h: float32 [], cut into slices of `slice` along `dim` (slice 0: one slice).
  m.def("sum_squares(Tensor x, int dim, int slice) -> Tensor");

  // clip_scale.h: float32 [] each -> both float32 [].
  m.def("clip_scale(Tensor[] squares, float clip_norm) -> (Tensor norm, Tensor scale)");

  // adamw.h: one step, in place. With `master` (float32) the weight is its rounding; without, the
  // weight itself is updated, and m and v may be bf16 as it is. `scale` float32 [] multiplies the
  // gradient first (clipping); `step` is int64 [].
  m.def(
      "adamw_(Tensor(a!) weight, Tensor(b!)? master, Tensor(c!) m, Tensor(d!) v, Tensor grad, "
      "Tensor scale, Tensor step, float lr, float beta1, float beta2, float eps, float "
      "weight_decay) -> ()");

  // digest_sums.h: int64 [2] of a tensor of any dtype.
  m.def("digest_sums(Tensor x) -> Tensor");

  // digest_rows.h: int64 [n, 2] of n tensors of any dtype, of as many rows as `sizes` (int64 [m])
  // says.
  m.def("digest_rows(Tensor[] values, int[] widths, int[] rows, Tensor sizes) -> Tensor");

  // mark.h: names a value. Does nothing by itself; observe/ and capture/ listen to it.
  m.def("mark(Tensor x, str site) -> ()");
}

}  // namespace samebits
