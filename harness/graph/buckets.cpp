#include "harness/graph/buckets.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "harness/base/error.h"

namespace samebits {

Buckets::Buckets(std::vector<int64_t> sizes) : sizes_(std::move(sizes)) {
  if (sizes_.empty()) throw InputError("buckets", "none", "one token count or more");
  if (sizes_[0] < 1) throw InputError("buckets", fmt::format("{}", sizes_[0]), "1 or more");
  for (size_t i = 1; i < sizes_.size(); ++i) {
    if (sizes_[i] > sizes_[i - 1]) continue;
    throw InputError("buckets", fmt::format("{} after {}", sizes_[i], sizes_[i - 1]),
                     "ascending token counts");
  }
}

namespace {

template <typename After>
std::vector<int64_t> sizes_up_to(int64_t largest, const After& after) {
  std::vector<int64_t> sizes;
  for (int64_t size = 1; size < largest; size = after(size)) sizes.push_back(size);
  sizes.push_back(largest);
  return sizes;
}

}  // namespace

Buckets Buckets::up_to(int64_t largest) {
  return Buckets(sizes_up_to(largest, [](int64_t size) {
    if (size < 8) return 2 * size;
    return size + (size < 256 ? 8 : 16);
  }));
}

Buckets Buckets::by_eighths(int64_t largest) {
  return Buckets(sizes_up_to(largest, [](int64_t size) {
    const auto power = static_cast<int64_t>(std::bit_floor(static_cast<uint64_t>(size)));
    return size + std::max<int64_t>(1, power / 8);
  }));
}

Buckets Buckets::powers_of_two(int64_t largest) {
  return Buckets(sizes_up_to(largest, [](int64_t size) { return 2 * size; }));
}

int64_t Buckets::bucket_for(int64_t tokens) const {
  const auto found = std::lower_bound(sizes_.begin(), sizes_.end(), tokens);
  if (tokens >= 1 && found != sizes_.end()) return *found;
  throw InputError("buckets", fmt::format("a step of {} tokens", tokens),
                   fmt::format("1 to the largest bucket, {}", sizes_.back()));
}

}  // namespace samebits
