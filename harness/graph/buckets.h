#pragma once

#include <cstdint>
#include <vector>

namespace samebits {

// The token counts that graphs are captured for. A step of n tokens runs in the smallest that holds
// it, padded.
class Buckets {
 public:
  // Ascending, each one or more. Throws InputError for none, and for a size that does not ascend.
  explicit Buckets(std::vector<int64_t> sizes);

  // 1, 2, 4, then every 8 up to 256 and every 16 above, up to `largest` (one or more), which is
  // always one: vLLM's default.
  static Buckets up_to(int64_t largest);

  // 1 to 8, then eight for each power of two, up to `largest`, which is always one: what is padded
  // is less than an eighth of a bucket above 8.
  static Buckets by_eighths(int64_t largest);

  // 1, 2, 4, 8, ... up to `largest`, a power of two.
  static Buckets powers_of_two(int64_t largest);

  bool holds(int64_t tokens) const { return tokens <= sizes_.back(); }
  // Throws InputError where `tokens` is not positive or no bucket is large enough.
  int64_t bucket_for(int64_t tokens) const;

  const std::vector<int64_t>& sizes() const { return sizes_; }

 private:
  std::vector<int64_t> sizes_;
};

}  // namespace samebits
