#include "harness/bits/digest.h"

#include <cstring>
#include <stdexcept>
#include <vector>

#include "harness/base/error.h"
#include "harness/base/text.h"

namespace samebits {
namespace {

template <typename T>
[[gnu::always_inline]] inline DigestSums sum_range(const unsigned char* data, int64_t count,
                                                   uint64_t first_index) {
  DigestSums sums;
  for (int64_t i = 0; i < count; ++i) {
    T bits;
    std::memcpy(&bits, data + i * sizeof(T), sizeof(T));
    sums.add(bits, first_index + i);
  }
  return sums;
}

// The loop above vectorises; 64-bit products are one instruction with AVX-512DQ and a few with
// AVX2. The sums are integers, so the instruction set cannot change a digest.
#if defined(__x86_64__)
template <typename T>
[[gnu::target("avx512f,avx512dq,avx512vl,avx512bw")]] DigestSums sum_range_avx512(
    const unsigned char* data, int64_t count, uint64_t first_index) {
  return sum_range<T>(data, count, first_index);
}
template <typename T>
[[gnu::target("avx2")]] DigestSums sum_range_avx2(const unsigned char* data, int64_t count,
                                                  uint64_t first_index) {
  return sum_range<T>(data, count, first_index);
}
#endif

template <typename T>
DigestSums sum_range_fastest(const void* data, int64_t count, uint64_t first_index) {
  const auto* bytes = static_cast<const unsigned char*>(data);
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512bw")) {
    return sum_range_avx512<T>(bytes, count, first_index);
  }
  if (__builtin_cpu_supports("avx2")) return sum_range_avx2<T>(bytes, count, first_index);
#endif
  return sum_range<T>(bytes, count, first_index);
}

// Calls `visit` with a zero of the unsigned type that holds one element.
template <typename Visit>
void with_element_type(size_t element_size, Visit&& visit) {
  switch (element_size) {
    case 1:
      return visit(uint8_t{});
    case 2:
      return visit(uint16_t{});
    case 4:
      return visit(uint32_t{});
    case 8:
      return visit(uint64_t{});
    default:
      throw std::invalid_argument("digest: an element has " + std::to_string(element_size) +
                                  " bytes, expected 1, 2, 4 or 8");
  }
}

template <typename T>
uint64_t load(const void* data, int64_t offset) {
  T bits;
  std::memcpy(&bits, static_cast<const unsigned char*>(data) + offset * int64_t{sizeof(T)},
              sizeof(T));
  return bits;
}

template <typename T>
void add_block_of(DigestSums& sums, const void* data, std::span<const int64_t> sizes,
                  std::span<const int64_t> data_strides, std::span<const int64_t> index_strides,
                  int64_t first_index) {
  if (sizes.empty()) return sums.add(load<T>(data, 0), first_index);
  const auto* bytes = static_cast<const unsigned char*>(data);
  if (sizes.size() == 1) {
    if (data_strides[0] == 1 && index_strides[0] == 1) {
      return sums.add(sum_range_fastest<T>(data, sizes[0], first_index));
    }
    for (int64_t i = 0; i < sizes[0]; ++i) {
      sums.add(load<T>(data, i * data_strides[0]), first_index + i * index_strides[0]);
    }
    return;
  }
  for (int64_t i = 0; i < sizes[0]; ++i) {
    add_block_of<T>(sums, bytes + i * data_strides[0] * int64_t{sizeof(T)}, sizes.subspan(1),
                    data_strides.subspan(1), index_strides.subspan(1),
                    first_index + i * index_strides[0]);
  }
}

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

// What is folded into the sums when they are sealed.
std::vector<uint64_t> form_of(Dtype dtype, std::span<const int64_t> shape) {
  std::vector<uint64_t> form = {static_cast<uint64_t>(dtype), shape.size()};
  for (const int64_t size : shape) form.push_back(static_cast<uint64_t>(size));
  return form;
}

// The mixings have inverses: an odd factor has one modulo 2^64, and a shift leaves the upper bits as
// they were, from which the lower ones follow.
constexpr uint64_t inverse_of(uint64_t odd) {
  uint64_t inverse = odd;  // right in its lowest three bits; each turn doubles that
  for (int turn = 0; turn < 5; ++turn) inverse *= 2 - odd * inverse;
  return inverse;
}
constexpr uint64_t unshifted(uint64_t x, int shift) {
  uint64_t before = x;
  for (int known = shift; known < 64; known += shift) before = x ^ before >> shift;
  return before;
}
constexpr uint64_t unmix_a(uint64_t x) {
  x = unshifted(x, 31) * inverse_of(0x94d049bb133111ebu);
  x = unshifted(x, 27) * inverse_of(0xbf58476d1ce4e5b9u);
  return unshifted(x, 30);
}
constexpr uint64_t unmix_b(uint64_t x) {
  x = unshifted(x, 33) * inverse_of(0xc4ceb9fe1a85ec53u);
  x = unshifted(x, 33) * inverse_of(0xff51afd7ed558ccdu);
  return unshifted(x, 33);
}
static_assert(unmix_a(mix_a(0x0123456789abcdefu)) == 0x0123456789abcdefu);
static_assert(unmix_b(mix_b(0xfedcba9876543210u)) == 0xfedcba9876543210u);

}  // namespace

std::string Digest::hex() const {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text(32, '0');
  for (int i = 0; i < 16; ++i) {
    text[15 - i] = kDigits[(high >> (4 * i)) & 15];
    text[31 - i] = kDigits[(low >> (4 * i)) & 15];
  }
  return text;
}

Digest Digest::from_hex(std::string_view hex, const std::string& where) {
  const InputError bad(where, quoted(hex), "32 lower-case hexadecimal digits");
  if (hex.size() != 32) throw bad;
  Digest digest;
  for (int i = 0; i < 32; ++i) {
    const int value = hex_value(hex[i]);
    if (value < 0) throw bad;
    uint64_t& word = i < 16 ? digest.high : digest.low;
    word = word << 4 | static_cast<uint64_t>(value);
  }
  return digest;
}

void add_range(DigestSums& sums, size_t element_size, const void* data, int64_t count,
               int64_t first_index) {
  with_element_type(element_size, [&]<typename T>(T) {
    sums.add(sum_range_fastest<T>(data, count, first_index));
  });
}

void add_scattered(DigestSums& sums, size_t element_size, const void* data,
                   std::span<const int64_t> indices) {
  with_element_type(element_size, [&]<typename T>(T) {
    for (size_t i = 0; i < indices.size(); ++i) sums.add(load<T>(data, i), indices[i]);
  });
}

void add_block(DigestSums& sums, size_t element_size, const void* data,
               std::span<const int64_t> sizes, std::span<const int64_t> data_strides,
               std::span<const int64_t> index_strides, int64_t first_index) {
  if (data_strides.size() != sizes.size() || index_strides.size() != sizes.size()) {
    throw std::invalid_argument("digest: sizes and strides differ in length");
  }
  with_element_type(element_size, [&]<typename T>(T) {
    add_block_of<T>(sums, data, sizes, data_strides, index_strides, first_index);
  });
}

Digest finish_digest(const DigestSums& sums, Dtype dtype, std::span<const int64_t> shape) {
  Digest digest{sums.a, sums.b};
  for (const uint64_t word : form_of(dtype, shape)) {
    digest.high = mix_a((digest.high ^ word) + kIndexStrideA);
    digest.low = mix_b((digest.low ^ word) + kIndexStrideB);
  }
  return digest;
}

Digest reshaped_digest(const Digest& digest, Dtype dtype, std::span<const int64_t> from,
                       std::span<const int64_t> to) {
  DigestSums sums{digest.high, digest.low};
  const std::vector<uint64_t> form = form_of(dtype, from);
  for (size_t i = form.size(); i-- > 0;) {
    sums.a = (unmix_a(sums.a) - kIndexStrideA) ^ form[i];
    sums.b = (unmix_b(sums.b) - kIndexStrideB) ^ form[i];
  }
  return finish_digest(sums, dtype, to);
}

Digest digest_of(Dtype dtype, std::span<const int64_t> shape, const void* data) {
  int64_t count = 1;
  for (const int64_t size : shape) count *= size;
  DigestSums sums;
  add_range(sums, dtype_size(dtype), data, count, 0);
  return finish_digest(sums, dtype, shape);
}

}  // namespace samebits
