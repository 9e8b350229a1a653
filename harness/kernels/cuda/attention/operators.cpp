// Attention and its cache on the card: see operators.cpp.

#include "harness/kernels/cuda/attention/launchers.h"
#include "harness/kernels/cuda/rows/arguments.h"

namespace samebits::cuda {
namespace {

// What the shape rules leave open, and kernels would read past the end of.
Attention attention(const Call& call, size_t q, size_t k, const at::Tensor& cu_seqlens,
                    size_t scale) {
  const at::Tensor& queries = call.tensor(q);
  const at::Tensor& keys = call.tensor(k);
  call.expect_like(k, "k", q);
  call.expect_like(k + 1, "v", q);
  TORCH_CHECK(queries.size(0) == 1, "attention: q has sizes ", queries.sizes(),
              ", expected [1, T, H, D]");
  TORCH_CHECK(cu_seqlens.dim() == 1 && cu_seqlens.size(0) >= 1, "attention: cu_seqlens has sizes ",
              cu_seqlens.sizes(), ", expected [sequences + 1]");
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
                        call.data(2), call.result(0), call.result<float>(1), /*workspace=*/nullptr,
                        call.stream());
}

void flash_attention_backward(Call& call) {
  const at::Tensor cu_seqlens = call.as_int32(6, "cu_seqlens");
  call.expect_like(0, "dout", 1);
  call.expect_like(4, "out", 1);
  call.expect(5, "lse", at::kFloat);
  const Attention size = attention(call, 1, 2, cu_seqlens, 7);
  TORCH_CHECK(call.tensor(4).sizes() == call.tensor(1).sizes(),
              "samebits::flash_attention_backward: out has sizes ", call.tensor(4).sizes(),
              ", expected ", call.tensor(1).sizes(), ", as q has");
  TORCH_CHECK(call.tensor(5).numel() == size.tokens * size.heads,
              "samebits::flash_attention_backward: lse has sizes ", call.tensor(5).sizes(),
              ", expected [1, ", size.tokens, ", ", size.heads, "]");
  cuda::flash_attention_backward(size, call.data(0), call.data(1), call.data(2), call.data(3),
                                 call.data(4), call.data<float>(5),
                                 call.workspace(size.tokens * size.heads), call.result(0),
                                 call.result(1), call.result(2), call.stream());
}

// Queries, argument 0, over the pages of a cache: arguments `cache` and the next. block_table,
// cu_seqlens and seq_lens are arguments `tables` and on, the scale comes next.
struct Paged {
  Paged(const Call& call, size_t cache, size_t tables);

  at::Tensor block_table, cu_seqlens, seq_lens;  // int32
  Attention size;
  Pages pages;
};

Paged::Paged(const Call& call, size_t cache, size_t tables)
    : block_table(call.as_int32(tables, "block_table")),
      cu_seqlens(call.as_int32(tables + 1, "cu_seqlens")),
      seq_lens(call.as_int32(tables + 2, "seq_lens")),
      size(attention(call, 0, cache, cu_seqlens, tables + 3)) {
  const at::Tensor& keys = call.tensor(cache);
  TORCH_CHECK(block_table.size(0) == size.sequences, "samebits::", call.op(),
              ": block_table has sizes ", block_table.sizes(), ", expected [", size.sequences,
              ", pages], as cu_seqlens has");
  TORCH_CHECK(seq_lens.dim() == 1, "samebits::", call.op(), ": seq_lens has sizes ",
              seq_lens.sizes(), ", expected [", size.sequences, "], as cu_seqlens has");
  TORCH_CHECK(keys.size(1) > 0, "samebits::", call.op(), ": the cache has sizes ", keys.sizes(),
              ", expected pages of at least one row");
  pages = {block_table.const_data_ptr<int32_t>(),
           seq_lens.const_data_ptr<int32_t>(),
           block_table.size(1),
           keys.size(0),
           keys.size(1),
           call.settled({tables, tables + 1, tables + 2})};
}

// `q`: the queries as they are now.
void attend(Call& call, const Paged& paged, size_t cache, const void* q, void* out) {
  cuda::flash_attention(paged.size, paged.pages, q, call.data(cache), call.data(cache + 1), out,
                        /*lse=*/nullptr, call.workspace(decode_workspace(paged.size, paged.pages)),
                        call.stream());
}

void paged_attention(Call& call) {
  attend(call, Paged(call, /*cache=*/1, /*tables=*/3), /*cache=*/1, call.data(0), call.result(0));
}

// Argument v, and keys laid out like it, into the caches, arguments k_cache and the next.
KvWrite write_of(const Call& call, size_t v, size_t k_cache, const at::Tensor& slots) {
  const at::Tensor& cache = call.tensor(k_cache);
  for (const size_t i : {v, k_cache + 1}) call.expect_like(i, "k, v or a cache", k_cache);
  TORCH_CHECK(call.tensor(v).size(0) == 1, "samebits::", call.op(), ": v has sizes ",
              call.tensor(v).sizes(), ", expected [1, T, ", cache.size(2), ", ", cache.size(3),
              "]");
  return {slots.numel(),
          cache.size(2) * cache.size(3) * cache.element_size(),
          cache.size(0) * cache.size(1),
          slots.const_data_ptr<int64_t>(),
          call.data(v),
          call.data(k_cache),
          call.data(k_cache + 1)};
}

void write_kv(Call& call) {
  call.expect_like(2, "k, v or a cache", 0);
  const at::Tensor slots = call.tensor(4).to(at::kLong);
  cuda::write_kv(write_of(call, /*v=*/3, /*k_cache=*/0, slots), call.data(2), call.stream());
}

void rms_norm_rope_write_kv_(Call& call) {
  call.expect_like(1, "weight", 0);
  call.expect_like(6, "k_cache", 0);
  const at::Tensor slots = call.tensor(9).to(at::kLong);
  const KvWrite write = write_of(call, /*v=*/8, /*k_cache=*/6, slots);
  Rotation rotation = rotation_of(call, 3);
  rotation.tables_are_settled = rotation.tables_are_settled && call.settled({1, 9});
  cuda::rms_norm_rope(rotation, heads_of(call, /*x=*/0, /*result=*/0), /*second=*/nullptr,
                      call.real(2), &write, call.stream());
  if (rotation.is_settled) call.began_early();
}

void rms_norm_rope_qk_write_kv_(Call& call) {
  for (const size_t i : {1, 2, 3}) call.expect_like(i, "a weight or k", 0);
  call.expect_like(8, "k_cache", 0);
  const at::Tensor slots = call.tensor(11).to(at::kLong);
  const KvWrite write = write_of(call, /*v=*/10, /*k_cache=*/8, slots);
  Rotation rotation = rotation_of(call, 5);
  rotation.tables_are_settled = rotation.tables_are_settled && call.settled({1, 3, 11});
  const NormedHeads keys = heads_of(call, /*x=*/2, /*result=*/2);
  cuda::rms_norm_rope(rotation, heads_of(call, /*x=*/0, /*result=*/0), &keys, call.real(4), &write,
                      call.stream());
  if (rotation.is_settled) call.began_early();
}

void rms_norm_rope_paged_attention_(Call& call) {
  for (const size_t i : {1, 2, 3}) call.expect_like(i, "a weight or k", 0);
  call.expect_like(8, "k_cache", 0);
  const at::Tensor slots = call.tensor(11).to(at::kLong);
  const Paged paged(call, /*cache=*/8, /*tables=*/12);
  Rotation rotation = rotation_of(call, 5);
  const bool tables_are_settled = rotation.tables_are_settled && call.settled({1, 3, 11});
  rotation.tables_are_settled = tables_are_settled;
  DecodeStep step{paged.size,
                  paged.pages,
                  rotation,
                  write_of(call, /*v=*/10, /*k_cache=*/8, slots),
                  heads_of(call, /*x=*/0, /*result=*/0),
                  heads_of(call, /*x=*/2, /*result=*/2),
                  call.real(4),
                  call.result(4),
                  tables_are_settled && call.settled({8, 9})};
  if (takes_decode_step(step)) return decode_step(step, call.stream());
  // The norms' kernel may be early where it is one; attention's never is.
  step.rotation.is_settled = false;
  cuda::rms_norm_rope(step.rotation, step.queries, &step.keys, step.eps, &step.write,
                      call.stream());
  attend(call, paged, /*cache=*/8, call.result(1), call.result(4));
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
