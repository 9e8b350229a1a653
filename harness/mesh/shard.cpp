#include "harness/mesh/shard.h"

namespace samebits {
namespace {

c10::SymInt chunk_size(const c10::SymInt& size, int64_t n) { return (size + (n - 1)) / n; }

}  // namespace

c10::SymInt shard_size(const c10::SymInt& size, int64_t n, int64_t rank) {
  const c10::SymInt chunk = chunk_size(size, n);
  return chunk.min(size - chunk * rank).max(0);
}

c10::SymInt shard_offset(const c10::SymInt& size, int64_t n, int64_t rank) {
  return (chunk_size(size, n) * rank).min(size);
}

at::Tensor share_of(const at::Tensor& whole, int64_t dim, int64_t n, int64_t rank) {
  const c10::SymInt size = whole.size(dim);
  return whole.narrow(dim, shard_offset(size, n, rank).expect_int(),
                      shard_size(size, n, rank).expect_int());
}

c10::SymInt gathered_with_padding(const c10::SymInt& size, int64_t n) {
  return chunk_size(size, n) * n;
}

}  // namespace samebits
