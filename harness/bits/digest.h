#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "harness/bits/digest_mix.h"
#include "harness/bits/dtype.h"

namespace samebits {

// 128 bits over a tensor's dtype, shape and raw element bits. Equal tensors have equal digests on
// every machine and device, whatever the memory layout and in whatever order the elements were
// visited; +0 and -0 differ, and so do two NaNs with different bits. It guards against accidents,
// not against an adversary.
struct Digest {
  uint64_t high = 0;
  uint64_t low = 0;

  bool operator==(const Digest&) const = default;

  // 32 lower-case hexadecimal digits, high word first.
  std::string hex() const;

  // The inverse. Throws InputError, naming `where`, for anything but 32 lower-case hex digits.
  static Digest from_hex(std::string_view hex, const std::string& where);
};

// Adds `count` contiguous elements of `element_size` bytes (1, 2, 4 or 8, any alignment); the first
// has linear index `first_index` in the whole tensor.
void add_range(DigestSums& sums, size_t element_size, const void* data, int64_t count,
               int64_t first_index);

// Adds elements whose linear indices are `indices`, one each; `data` is contiguous.
void add_scattered(DigestSums& sums, size_t element_size, const void* data,
                   std::span<const int64_t> indices);

// Adds a rectangular block. Element c (a coordinate below `sizes`) lies `c . data_strides` elements
// after `data` and has linear index `first_index + c . index_strides`. A non-contiguous tensor has
// the row-major strides of its own shape as index strides; a shard has those of the whole tensor.
void add_block(DigestSums& sums, size_t element_size, const void* data,
               std::span<const int64_t> sizes, std::span<const int64_t> data_strides,
               std::span<const int64_t> index_strides, int64_t first_index);

// Seals the sums of a whole tensor with its dtype and shape.
Digest finish_digest(const DigestSums& sums, Dtype dtype, std::span<const int64_t> shape);

// The digest of the same elements, in row-major order, as a tensor of shape `to`, of the digest that
// they have in shape `from`; both shapes have as many elements.
Digest reshaped_digest(const Digest& digest, Dtype dtype, std::span<const int64_t> from,
                       std::span<const int64_t> to);

// The digest of a contiguous tensor.
Digest digest_of(Dtype dtype, std::span<const int64_t> shape, const void* data);

}  // namespace samebits
