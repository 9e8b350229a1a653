// Attention and its cache on the card: see operators.cpp.

#include "harness/kernels/cuda/boxed.h"
#include "harness/kernels/cuda/launchers.h"

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
                        call.data(2), call.result(0), call.result<float>(1), call.stream());
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

void paged_attention(Call& call) {
  const at::Tensor block_table = call.as_int32(3, "block_table");
  const at::Tensor cu_seqlens = call.as_int32(4, "cu_seqlens");
  const at::Tensor seq_lens = call.as_int32(5, "seq_lens");
  const at::Tensor& cache = call.tensor(1);
  const Attention size = attention(call, 0, 1, cu_seqlens, 6);
  TORCH_CHECK(block_table.size(0) == size.sequences,
              "samebits::paged_attention: block_table has sizes ", block_table.sizes(),
              ", expected [", size.sequences, ", pages], as cu_seqlens has");
  TORCH_CHECK(seq_lens.dim() == 1, "samebits::paged_attention: seq_lens has sizes ",
              seq_lens.sizes(), ", expected [", size.sequences, "], as cu_seqlens has");
  TORCH_CHECK(cache.size(1) > 0, "samebits::paged_attention: the cache has sizes ", cache.sizes(),
              ", expected pages of at least one row");
  const Pages pages{block_table.const_data_ptr<int32_t>(), seq_lens.const_data_ptr<int32_t>(),
                    block_table.size(1), cache.size(0), cache.size(1)};
  cuda::flash_attention(size, pages, call.data(0), call.data(1), call.data(2), call.result(0),
                        /*lse=*/nullptr, call.stream());
}

void write_kv(Call& call) {
  const at::Tensor& cache = call.tensor(0);
  for (const size_t i : {1, 2, 3}) call.expect_like(i, "k, v or a cache", 0);
  TORCH_CHECK(call.tensor(2).size(0) == 1, "samebits::write_kv: k has sizes ",
              call.tensor(2).sizes(), ", expected [1, T, ", cache.size(2), ", ", cache.size(3), "]");
  const at::Tensor slots = call.tensor(4).to(at::kLong);
  const int64_t row_bytes = cache.size(2) * cache.size(3) * cache.element_size();
  cuda::write_kv(slots.numel(), row_bytes, cache.size(0) * cache.size(1),
                 slots.const_data_ptr<int64_t>(), call.data(2), call.data(3), call.data(0),
                 call.data(1), call.stream());
}

TORCH_LIBRARY_IMPL(samebits, CUDA, m) {
  m.impl("flash_attention", kernel<flash_attention>());
  m.impl("flash_attention_backward", kernel<flash_attention_backward>());
  m.impl("paged_attention", kernel<paged_attention, /*first=*/1, /*uncopied=*/2>());
  m.impl("write_kv", kernel<write_kv, /*first=*/0, /*uncopied=*/2>());
}

}  // namespace
}  // namespace samebits::cuda
