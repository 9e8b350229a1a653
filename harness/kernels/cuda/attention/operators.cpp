// Attention and its cache on the card: see operators.cpp.

#include "harness/kernels/cuda/attention/launchers.h"
#include "harness/kernels/cuda/rows/arguments.h"

namespace samebits::cuda {
namespace {

// What the shape rules leave open, and kernels would read past the end of. cu_seqlens: int32.
Attention size_of(const Call& call, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                  const at::Tensor& cu_seqlens, float scale) {
  call.expect_like(k, "k", q);
  call.expect_like(v, "v", q);
  TORCH_CHECK(q.size(0) == 1, "attention: q has sizes ", q.sizes(), ", expected [1, T, H, D]");
  TORCH_CHECK(cu_seqlens.dim() == 1 && cu_seqlens.size(0) >= 1, "attention: cu_seqlens has sizes ",
              cu_seqlens.sizes(), ", expected [sequences + 1]");
  TORCH_CHECK(k.size(2) > 0 ? q.size(2) % k.size(2) == 0 : q.size(2) == 0, "attention: q has ",
              q.size(2), " heads, expected a multiple of the ", k.size(2), " of k");
  TORCH_CHECK(q.size(3) <= 256, "attention: found head size ", q.size(3),
              ", expected at most 256 on a card");
  return {q.size(1), cu_seqlens.size(0) - 1,       q.size(2),      k.size(2), q.size(3),
          scale,     data_of<int32_t>(cu_seqlens), call.is_bf16(q)};
}

void flash_attention(Call& call, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                     const at::Tensor& cu_seqlens, float scale) {
  const at::Tensor starts = call.as_int32(cu_seqlens, "cu_seqlens");
  const auto [out, lse] = call.results<2>();
  cuda::flash_attention(size_of(call, q, k, v, starts, scale), Pages{}, data_of(q), data_of(k),
                        data_of(v), written(out), written<float>(lse), /*workspace=*/nullptr,
                        call.stream());
}

void flash_attention_backward(Call& call, const at::Tensor& dout, const at::Tensor& q,
                              const at::Tensor& k, const at::Tensor& v, const at::Tensor& out,
                              const at::Tensor& lse, const at::Tensor& cu_seqlens, float scale) {
  const at::Tensor starts = call.as_int32(cu_seqlens, "cu_seqlens");
  call.expect_like(dout, "dout", q);
  call.expect_like(out, "out", q);
  call.expect(lse, "lse", at::kFloat);
  const Attention size = size_of(call, q, k, v, starts, scale);
  TORCH_CHECK(out.sizes() == q.sizes(), "samebits::flash_attention_backward: out has sizes ",
              out.sizes(), ", expected ", q.sizes(), ", as q has");
  TORCH_CHECK(lse.numel() == size.tokens * size.heads,
              "samebits::flash_attention_backward: lse has sizes ", lse.sizes(), ", expected [1, ",
              size.tokens, ", ", size.heads, "]");
  const auto [dq, dk, dv] = call.results<3>();
  cuda::flash_attention_backward(size, data_of(dout), data_of(q), data_of(k), data_of(v),
                                 data_of(out), data_of<float>(lse),
                                 call.workspace(size.tokens * size.heads), written(dq), written(dk),
                                 written(dv), call.stream());
}

// Keys and values in pages, and where they are.
struct Cache {
  const at::Tensor &k, &v;
  const at::Tensor &block_table, &cu_seqlens, &seq_lens;
};

// Queries over the pages of a cache.
struct Paged {
  Paged(const Call& call, const at::Tensor& q, const Cache& cache, float scale);

  const Cache& cache;
  at::Tensor block_table, cu_seqlens, seq_lens;  // int32
  Attention size;
  Pages pages;
};

Paged::Paged(const Call& call, const at::Tensor& q, const Cache& cache, float scale)
    : cache(cache),
      block_table(call.as_int32(cache.block_table, "block_table")),
      cu_seqlens(call.as_int32(cache.cu_seqlens, "cu_seqlens")),
      seq_lens(call.as_int32(cache.seq_lens, "seq_lens")),
      size(size_of(call, q, cache.k, cache.v, cu_seqlens, scale)) {
  TORCH_CHECK(block_table.size(0) == size.sequences, "samebits::", call.op(),
              ": block_table has sizes ", block_table.sizes(), ", expected [", size.sequences,
              ", pages], as cu_seqlens has");
  TORCH_CHECK(seq_lens.dim() == 1, "samebits::", call.op(), ": seq_lens has sizes ",
              seq_lens.sizes(), ", expected [", size.sequences, "], as cu_seqlens has");
  TORCH_CHECK(cache.k.size(1) > 0, "samebits::", call.op(), ": the cache has sizes ",
              cache.k.sizes(), ", expected pages of at least one row");
  pages = {data_of<int32_t>(block_table),
           data_of<int32_t>(seq_lens),
           block_table.size(1),
           cache.k.size(0),
           cache.k.size(1),
           call.are_settled(cache.block_table, cache.cu_seqlens, cache.seq_lens)};
}

// `q`: the queries as they are now.
void attend(Call& call, const Paged& paged, const at::Tensor& q, const at::Tensor& out) {
  cuda::flash_attention(paged.size, paged.pages, data_of(q), data_of(paged.cache.k),
                        data_of(paged.cache.v), written(out), /*lse=*/nullptr,
                        call.workspace(decode_workspace(paged.size, paged.pages)), call.stream());
}

void paged_attention(Call& call, const at::Tensor& q, const at::Tensor& k_cache,
                     const at::Tensor& v_cache, const at::Tensor& block_table,
                     const at::Tensor& cu_seqlens, const at::Tensor& seq_lens, float scale) {
  const Cache cache{k_cache, v_cache, block_table, cu_seqlens, seq_lens};
  attend(call, Paged(call, q, cache, scale), q, call.result());
}

// v, and keys laid out like it, into the caches. `slots`: int64.
KvWrite write_of(const Call& call, const at::Tensor& k_cache, const at::Tensor& v_cache,
                 const at::Tensor& v, const at::Tensor& slots) {
  for (const at::Tensor* x : {&v, &v_cache}) call.expect_like(*x, "k, v or a cache", k_cache);
  TORCH_CHECK(v.size(0) == 1, "samebits::", call.op(), ": v has sizes ", v.sizes(),
              ", expected [1, T, ", k_cache.size(2), ", ", k_cache.size(3), "]");
  return {slots.numel(),
          k_cache.size(2) * k_cache.size(3) * k_cache.element_size(),
          k_cache.size(0) * k_cache.size(1),
          data_of<int64_t>(slots),
          data_of(v),
          written(k_cache),
          written(v_cache)};
}

void write_kv(Call& call, const at::Tensor& k_cache, const at::Tensor& v_cache, const at::Tensor& k,
              const at::Tensor& v, const at::Tensor& slots) {
  call.expect_like(k, "k, v or a cache", k_cache);
  const at::Tensor rows = slots.to(at::kLong);
  cuda::write_kv(write_of(call, k_cache, v_cache, v, rows), data_of(k), call.stream());
}

void rms_norm_rope_write_kv_(Call& call, const at::Tensor& x, const at::Tensor& weight, float eps,
                             const at::Tensor& cos, const at::Tensor& sin,
                             const at::Tensor& positions, const at::Tensor& k_cache,
                             const at::Tensor& v_cache, const at::Tensor& v,
                             const at::Tensor& slots) {
  call.expect_like(weight, "weight", x);
  call.expect_like(k_cache, "k_cache", x);
  const at::Tensor rows = slots.to(at::kLong);
  const KvWrite write = write_of(call, k_cache, v_cache, v, rows);
  Rotation rotation = rotation_of(call, x, cos, sin, positions);
  rotation.tables_are_settled = rotation.tables_are_settled && call.are_settled(weight, slots);
  const auto [normed, rotated] = call.results<2>();
  cuda::rms_norm_rope(rotation, heads_of(x, weight, normed, rotated), /*second=*/nullptr, eps,
                      &write, call.stream());
  if (rotation.is_settled) call.began_early();
}

void expect_like_queries(const Call& call, const at::Tensor& q, const at::Tensor& q_weight,
                         const at::Tensor& k, const at::Tensor& k_weight,
                         const at::Tensor& k_cache) {
  for (const at::Tensor* x : {&q_weight, &k, &k_weight}) {
    call.expect_like(*x, "a weight or k", q);
  }
  call.expect_like(k_cache, "k_cache", q);
}

void rms_norm_rope_qk_write_kv_(Call& call, const at::Tensor& q, const at::Tensor& q_weight,
                                const at::Tensor& k, const at::Tensor& k_weight, float eps,
                                const at::Tensor& cos, const at::Tensor& sin,
                                const at::Tensor& positions, const at::Tensor& k_cache,
                                const at::Tensor& v_cache, const at::Tensor& v,
                                const at::Tensor& slots) {
  expect_like_queries(call, q, q_weight, k, k_weight, k_cache);
  const at::Tensor rows = slots.to(at::kLong);
  const KvWrite write = write_of(call, k_cache, v_cache, v, rows);
  Rotation rotation = rotation_of(call, q, cos, sin, positions);
  rotation.tables_are_settled =
      rotation.tables_are_settled && call.are_settled(q_weight, k_weight, slots);
  const auto [q_normed, q_rotated, k_normed, k_rotated] = call.results<4>();
  const NormedHeads keys = heads_of(k, k_weight, k_normed, k_rotated);
  cuda::rms_norm_rope(rotation, heads_of(q, q_weight, q_normed, q_rotated), &keys, eps, &write,
                      call.stream());
  if (rotation.is_settled) call.began_early();
}

void rms_norm_rope_paged_attention_(Call& call, const at::Tensor& q, const at::Tensor& q_weight,
                                    const at::Tensor& k, const at::Tensor& k_weight, float eps,
                                    const at::Tensor& cos, const at::Tensor& sin,
                                    const at::Tensor& positions, const at::Tensor& k_cache,
                                    const at::Tensor& v_cache, const at::Tensor& v,
                                    const at::Tensor& slots, const at::Tensor& block_table,
                                    const at::Tensor& cu_seqlens, const at::Tensor& seq_lens,
                                    float scale) {
  expect_like_queries(call, q, q_weight, k, k_weight, k_cache);
  const at::Tensor rows = slots.to(at::kLong);
  const Cache cache{k_cache, v_cache, block_table, cu_seqlens, seq_lens};
  const Paged paged(call, q, cache, scale);
  Rotation rotation = rotation_of(call, q, cos, sin, positions);
  const bool tables_are_settled =
      rotation.tables_are_settled && call.are_settled(q_weight, k_weight, slots);
  rotation.tables_are_settled = tables_are_settled;
  const auto [q_normed, q_rotated, k_normed, k_rotated, out] = call.results<5>();
  DecodeStep step{paged.size,
                  paged.pages,
                  rotation,
                  write_of(call, k_cache, v_cache, v, rows),
                  heads_of(q, q_weight, q_normed, q_rotated),
                  heads_of(k, k_weight, k_normed, k_rotated),
                  eps,
                  written(out),
                  tables_are_settled && call.are_settled(k_cache, v_cache)};
  if (takes_decode_step(step)) return decode_step(step, call.stream());
  // The norms' kernel may be early where it is one; attention's never is, and reads nothing but
  // tables before it waits.
  step.rotation.is_settled = false;
  step.rotation.lets_next_begin = tables_are_settled;
  cuda::rms_norm_rope(step.rotation, step.queries, &step.keys, step.eps, &step.write,
                      call.stream());
  attend(call, paged, q_rotated, out);
}

TORCH_LIBRARY_IMPL(samebits, CUDA, m) {
  m.impl("flash_attention", kernel<flash_attention>());
  m.impl("flash_attention_backward", kernel<flash_attention_backward>());
  m.impl("paged_attention", kernel<paged_attention, /*first=*/1, /*uncopied=*/2>());
  m.impl("write_kv", kernel<write_kv, /*first=*/0, /*uncopied=*/2>());
  m.impl("rms_norm_rope_paged_attention_",
         kernel<rms_norm_rope_paged_attention_, /*first=*/8, /*uncopied=*/2>());
  m.impl("rms_norm_rope_qk_write_kv_",
         kernel<rms_norm_rope_qk_write_kv_, /*first=*/8, /*uncopied=*/2>());
  m.impl("rms_norm_rope_write_kv_", kernel<rms_norm_rope_write_kv_, /*first=*/6, /*uncopied=*/2>());
}

}  // namespace
}  // namespace samebits::cuda
