#include "harness/model/attention.h"

#include "harness/kernels/functional.h"

namespace samebits {

at::Tensor ContiguousAttention::forward(int64_t /*layer*/, int64_t /*rank*/, const at::Tensor& q,
                                        const at::Tensor& k, const at::Tensor& v) const {
  return numerics_.flash_attention(q, k, v, cu_seqlens_, scale_);
}

at::Tensor PagedAttention::forward(int64_t layer, int64_t rank, const at::Tensor& q,
                                   const at::Tensor& k, const at::Tensor& v) const {
  const KvCache::Page& page = cache_.page(layer, rank);
  ops::write_kv(page.k, page.v, k, v, metadata_.slots);
  return numerics_.paged_attention(q, page.k, page.v, metadata_.block_table, metadata_.cu_seqlens,
                                   metadata_.seq_lens, scale_);
}

}  // namespace samebits
