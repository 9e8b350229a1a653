#pragma once

#include <ATen/ATen.h>

#include <algorithm>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "tests/kernels/tensors.h"

namespace samebits::testing {

// Random sizes, choices and values of one case, from its seed: the same on every machine. A case
// has one kind of values throughout, and one in 16 may be large.
class Draw {
 public:
  enum class Sizes { kSmall, kWithLargeOnes };

  Draw(uint64_t seed, Sizes sizes)
      : random_(seed),
        is_large_(between(0, 15) == 0 && sizes == Sizes::kWithLargeOnes),
        kind_(one_of<Kind>({Kind::kNormal, Kind::kWide, Kind::kFewAnyBits, Kind::kAnyBits})) {}

  // Ends included. Not std::uniform_int_distribution, which is another one in each library.
  int64_t between(int64_t low, int64_t high) {
    return low + static_cast<int64_t>(random_() % static_cast<uint64_t>(high - low + 1));
  }
  bool is_large() const { return is_large_; }
  bool coin() { return between(0, 1) == 1; }
  template <typename T>
  T one_of(const std::vector<T>& values) {
    return values[static_cast<size_t>(between(0, static_cast<int64_t>(values.size()) - 1))];
  }

  // From 1 to about `most`, or to `largest` in a large case: small ones as often as large ones, and
  // half of them at or beside the end of a tile.
  int64_t size(int64_t most, int64_t largest) {
    const int64_t limit = between(1, is_large_ ? largest : most);
    const int64_t found = is_large_ ? limit : between(1, limit);
    if (coin()) return found;
    const int64_t tile = one_of<int64_t>({8, 16, 64});
    return std::max<int64_t>(1, (found + tile - 1) / tile * tile + one_of<int64_t>({-1, 0, 0, 1}));
  }

  at::ScalarType dtype() { return one_of<at::ScalarType>({at::kBFloat16, at::kFloat}); }

  // Of the case's kind. float32 or bfloat16.
  at::Tensor values(at::IntArrayRef sizes, at::ScalarType dtype) {
    if (kind_ == Kind::kAnyBits) return hostile_tensor(sizes, dtype, random_());
    at::Tensor x = random_tensor(sizes, at::kFloat, random_());
    if (kind_ == Kind::kWide) x.mul_(at::exp2(integers(sizes, -20, 20).to(at::kFloat)));
    x = x.to(dtype);
    if (kind_ == Kind::kFewAnyBits && x.numel() > 0) {
      const at::Tensor any = hostile_tensor({kFew}, dtype, random_());
      for (int64_t i = 0; i < kFew; ++i) {
        x.view(-1)[between(0, x.numel() - 1)].copy_(any[i]);
      }
    }
    return x;
  }

  // int64, ends included.
  at::Tensor integers(at::IntArrayRef sizes, int64_t low, int64_t high) {
    return at::randint(low, high + 1, sizes, seeded(random_()),
                       at::TensorOptions().dtype(at::kLong));
  }
  // 0 ... n - 1 in any order, int64.
  at::Tensor permutation(int64_t n) {
    return at::randperm(n, seeded(random_()), at::TensorOptions().dtype(at::kLong));
  }

  std::string kind() const {
    switch (kind_) {
      case Kind::kNormal:
        return "normal values";
      case Kind::kWide:
        return "exponents far apart";
      case Kind::kFewAnyBits:
        return "a few of any bits";
      case Kind::kAnyBits:
        return "any bits";
    }
    return "";
  }

 private:
  enum class Kind { kNormal, kWide, kFewAnyBits, kAnyBits };
  static constexpr int64_t kFew = 3;

  std::mt19937_64 random_;
  bool is_large_;
  Kind kind_;
};

}  // namespace samebits::testing
