#include "harness/kernels/rms_norm_rope_qk_write_kv.h"

#include <gtest/gtest.h>

#include "harness/kernels/functional.h"
#include "tests/kernels/tensors.h"

namespace samebits {
namespace {

using testing::kDtypes;
using testing::list;
using testing::random_tensor;
using testing::same_bits;
using Tensors = std::vector<at::Tensor>;

constexpr double kEps = 1e-6;
constexpr int64_t kTable = 50;

struct Inputs {
  at::Tensor q, q_weight, k, k_weight, cos, sin, positions, k_cache, v_cache, v, slots;
};

// Every fifth token is padding.
Inputs inputs(int64_t tokens, int64_t dim, at::ScalarType dtype, bool hostile = false) {
  const auto make = hostile ? testing::hostile_tensor : random_tensor;
  at::Tensor slots = (at::arange(tokens) * 7 + 5) % 48;
  slots.slice(0, 4, std::nullopt, 5).fill_(-1);
  return {make({1, tokens, 6, dim}, dtype, 1),
          random_tensor({dim}, dtype, 2),
          make({1, tokens, 3, dim}, dtype, 3),
          random_tensor({dim}, dtype, 4),
          random_tensor({kTable, dim / 2}, at::kFloat, 5),
          random_tensor({kTable, dim / 2}, at::kFloat, 6),
          ((at::arange(tokens) * 7 + 3) % kTable).view({1, tokens}),
          random_tensor({12, 4, 3, dim}, dtype, 7),
          random_tensor({12, 4, 3, dim}, dtype, 8),
          make({1, tokens, 3, dim}, dtype, 9),
          slots};
}

// All results and both caches, which are written in copies.
Tensors fused(const Inputs& in) {
  const at::Tensor k_cache = in.k_cache.clone();
  const at::Tensor v_cache = in.v_cache.clone();
  Tensors found =
      list(ops::rms_norm_rope_qk_write_kv_(in.q, in.q_weight, in.k, in.k_weight, kEps, in.cos,
                                           in.sin, in.positions, k_cache, v_cache, in.v, in.slots));
  found.push_back(k_cache);
  found.push_back(v_cache);
  return found;
}

Tensors apart(const Inputs& in) {
  const at::Tensor k_cache = in.k_cache.clone();
  const at::Tensor v_cache = in.v_cache.clone();
  Tensors found = list(ops::rms_norm_rope(in.q, in.q_weight, kEps, in.cos, in.sin, in.positions));
  for (const at::Tensor& each :
       list(ops::rms_norm_rope_write_kv_(in.k, in.k_weight, kEps, in.cos, in.sin, in.positions,
                                         k_cache, v_cache, in.v, in.slots))) {
    found.push_back(each);
  }
  found.push_back(k_cache);
  found.push_back(v_cache);
  return found;
}

TEST(RmsNormRopeQkWriteKv, HasTheBitsOfTheTwoOperators) {
  for (const auto dtype : kDtypes) {
    for (const int64_t tokens : {0, 1, 37}) {
      for (const int64_t dim : {2, 34, 64, 128}) {
        for (const bool hostile : {false, true}) {
          const Inputs in = inputs(tokens, dim, dtype, hostile);
          EXPECT_TRUE(same_bits(fused(in), apart(in)));
        }
      }
    }
    // The controls: keys of other weights, and values for keys.
    Inputs in = inputs(37, 16, dtype);
    const Tensors expected = fused(in);
    EXPECT_FALSE(same_bits(expected[4], in.k_cache));
    std::swap(in.q_weight, in.k_weight);
    EXPECT_FALSE(same_bits(fused(in)[2], expected[2]));
    std::swap(in.q_weight, in.k_weight);
    std::swap(in.k, in.v);
    EXPECT_FALSE(same_bits(fused(in), expected));
  }
}

TEST(RmsNormRopeQkWriteKv, IsTheSameOnAllIsas) {
  for (const auto dtype : kDtypes) {
    const Inputs in = inputs(5, 34, dtype);
    EXPECT_TRUE(testing::same_on_all_isas([&] { return fused(in); }));
  }
}

TEST(RmsNormRopeQkWriteKv, RefusesInTheWordsOfItsPartsAndWritesNothingBefore) {
  Inputs in = inputs(3, 16, at::kFloat);
  const at::Tensor k_cache = in.k_cache.clone();
  in.positions = at::tensor({int64_t{0}, kTable, int64_t{1}}).view({1, 3});
  std::string message;
  try {
    ops::rms_norm_rope_qk_write_kv_(in.q, in.q_weight, in.k, in.k_weight, kEps, in.cos, in.sin,
                                    in.positions, in.k_cache, in.v_cache, in.v, in.slots);
  } catch (const c10::Error& error) {
    message = error.what_without_backtrace();
  }
  EXPECT_NE(message.find("token 1 has position 50, expected one in [0, 50)"), std::string::npos);
  EXPECT_TRUE(same_bits(in.k_cache, k_cache));
}

}  // namespace
}  // namespace samebits
