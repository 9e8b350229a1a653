#include "harness/kernels/rms_norm_rope_write_kv.h"

#include <gtest/gtest.h>

#include "harness/kernels/functional.h"
#include "tests/kernels/tensors.h"

namespace samebits {
namespace {

using testing::kDtypes;
using testing::random_tensor;
using testing::same_bits;
using Tensors = std::vector<at::Tensor>;

constexpr double kEps = 1e-6;
constexpr int64_t kTable = 50;
constexpr int64_t kBlocks = 12;
constexpr int64_t kBlockSize = 4;

struct Inputs {
  at::Tensor x, weight, cos, sin, positions, k_cache, v_cache, v, slots;
};

// Every fifth token is padding.
Inputs inputs(int64_t tokens, int64_t heads, int64_t dim, at::ScalarType dtype) {
  at::Tensor slots = (at::arange(tokens) * 7 + 5) % (kBlocks * kBlockSize);
  slots.slice(0, 4, std::nullopt, 5).fill_(-1);
  return {random_tensor({1, tokens, heads, dim}, dtype, 1),
          random_tensor({dim}, dtype, 2),
          random_tensor({kTable, dim / 2}, at::kFloat, 3),
          random_tensor({kTable, dim / 2}, at::kFloat, 4),
          ((at::arange(tokens) * 7 + 3) % kTable).view({1, tokens}),
          random_tensor({kBlocks, kBlockSize, heads, dim}, dtype, 5),
          random_tensor({kBlocks, kBlockSize, heads, dim}, dtype, 6),
          random_tensor({1, tokens, heads, dim}, dtype, 7),
          slots};
}

// Both results and both caches, which are written in copies.
Tensors fused(const Inputs& in) {
  const at::Tensor k_cache = in.k_cache.clone();
  const at::Tensor v_cache = in.v_cache.clone();
  const auto [normed, rotated] = ops::rms_norm_rope_write_kv_(
      in.x, in.weight, kEps, in.cos, in.sin, in.positions, k_cache, v_cache, in.v, in.slots);
  return {normed, rotated, k_cache, v_cache};
}

Tensors apart(const Inputs& in, bool fused_rounding) {
  const at::Tensor k_cache = in.k_cache.clone();
  const at::Tensor v_cache = in.v_cache.clone();
  const at::Tensor normed = ops::rms_norm(in.x, in.weight, kEps, fused_rounding);
  const at::Tensor rotated = ops::rope(normed, in.cos, in.sin, in.positions, /*inverse=*/false);
  ops::write_kv(k_cache, v_cache, rotated, in.v, in.slots);
  return {normed, rotated, k_cache, v_cache};
}

TEST(RmsNormRopeWriteKv, HasTheBitsOfTheThreeOperators) {
  for (const auto dtype : kDtypes) {
    for (const int64_t tokens : {0, 1, 37}) {
      for (const int64_t dim : {2, 16, 34, 128}) {
        Inputs in = inputs(tokens, 3, dim, dtype);
        EXPECT_TRUE(same_bits(fused(in), apart(in, /*fused_rounding=*/false)));
        in.x = testing::hostile_tensor({1, tokens, 3, dim}, dtype, 8);
        EXPECT_TRUE(same_bits(fused(in), apart(in, /*fused_rounding=*/false)));
      }
    }
    // The controls: without the norm's inner rounding, and with values for keys.
    Inputs in = inputs(37, 3, 16, dtype);
    EXPECT_EQ(same_bits(fused(in), apart(in, /*fused_rounding=*/true)), dtype == at::kFloat);
    const Tensors expected = apart(in, /*fused_rounding=*/false);
    EXPECT_FALSE(same_bits(expected[2], in.k_cache));
    std::swap(in.x, in.v);
    EXPECT_FALSE(same_bits(fused(in), expected));
  }
}

TEST(RmsNormRopeWriteKv, IsTheSameOnAllIsas) {
  for (const auto dtype : kDtypes) {
    const Inputs in = inputs(5, 3, 34, dtype);
    EXPECT_TRUE(testing::same_on_all_isas([&] { return fused(in); }));
  }
}

TEST(RmsNormRopeWriteKv, ATokenDependsOnItselfAlone) {
  const Inputs in = inputs(20, 2, 16, at::kBFloat16);
  const Tensors all = fused(in);
  for (const int64_t t : {0, 7, 18}) {
    Inputs one = in;
    one.x = in.x.narrow(1, t, 1);
    one.v = in.v.narrow(1, t, 1);
    one.positions = in.positions.narrow(1, t, 1);
    one.slots = in.slots.narrow(0, t, 1);
    const Tensors got = fused(one);
    const int64_t slot = in.slots[t].item<int64_t>();
    EXPECT_TRUE(same_bits({got[0], got[1]}, {all[0].narrow(1, t, 1), all[1].narrow(1, t, 1)}));
    for (const size_t cache : {2, 3}) {
      EXPECT_TRUE(same_bits(got[cache].flatten(0, 1)[slot], all[cache].flatten(0, 1)[slot]));
    }
  }
}

TEST(RmsNormRopeWriteKv, RefusesInTheWordsOfItsPartsAndWritesNothingBeforeAPositionIsKnown) {
  const auto error_of = [](const Inputs& in) -> std::string {
    try {
      ops::rms_norm_rope_write_kv_(in.x, in.weight, kEps, in.cos, in.sin, in.positions, in.k_cache,
                                   in.v_cache, in.v, in.slots);
    } catch (const c10::Error& error) {
      return error.what_without_backtrace();
    }
    return "no error";
  };
  Inputs in = inputs(3, 2, 16, at::kFloat);
  const at::Tensor k_cache = in.k_cache.clone();
  in.positions = at::tensor({int64_t{0}, kTable, int64_t{1}}).view({1, 3});
  EXPECT_NE(error_of(in).find("token 1 has position 50, expected one in [0, 50)"),
            std::string::npos);
  EXPECT_TRUE(same_bits(in.k_cache, k_cache));
  in = inputs(3, 2, 16, at::kFloat);
  in.slots = at::tensor({0, 48, 1}, at::kLong);
  EXPECT_NE(error_of(in).find("slots[1] is 48, expected -1 to 47"), std::string::npos);
  in = inputs(3, 2, 16, at::kFloat);
  in.v = in.v.to(at::kBFloat16);
  EXPECT_NE(error_of(in).find("found dtype BFloat16, expected Float"), std::string::npos);
}

}  // namespace
}  // namespace samebits
