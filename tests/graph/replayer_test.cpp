#include "harness/graph/replayer.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "harness/core/error.h"
#include "harness/kernels/functional.h"
#include "tests/kernels/tensors.h"

namespace samebits {
namespace {

using testing::random_tensor;
using testing::same_bits;

constexpr int64_t kPages = 6;
constexpr int64_t kPageRows = 4;
constexpr int64_t kHeadDim = 8;

// Decode attention: q = k = v looked up by id, one token a sequence.
class DecodeProgram {
 public:
  std::vector<at::Tensor> operator()(const std::vector<at::Tensor>& in) const {
    const at::Tensor x = ops::embedding(in[0], table, 0).view({1, -1, 1, kHeadDim});
    ops::write_kv(cache, cache, x, x, in[1]);
    const at::Tensor out = ops::paged_attention(x, cache, cache, in[2], in[3], in[4], 1.0);
    return {out.view({-1, kHeadDim})};
  }
  std::vector<BucketedInput> inputs(int64_t padding_slot = -1) const {
    return {{at::kLong, {{1, 0}}, 0},
            {at::kLong, {{1, 0}}, padding_slot},
            {at::kInt, {{1, 0}, {0, 2}}, 0},
            {at::kInt, {{1, 1}}, std::nullopt},
            {at::kInt, {{1, 0}}, 0}};
  }

  at::Tensor table = random_tensor({10, kHeadDim}, at::kBFloat16, 1);
  at::Tensor cache = random_tensor({kPages, kPageRows, 1, kHeadDim}, at::kBFloat16, 2);
};

// `tokens` sequences, each with one page, whose next token has position 2.
std::vector<at::Tensor> step(int64_t tokens) {
  const at::Tensor pages = at::arange(1, tokens + 1, at::kInt);
  return {at::arange(2, tokens + 2), pages.to(at::kLong) * kPageRows + 2, pages.view({tokens, 1}),
          at::arange(tokens + 1, at::kInt), at::full({tokens}, 3, at::kInt)};
}

class ReplayerTest : public ::testing::Test {
 protected:
  Replayer replayer(const DecodeProgram& program, int64_t padding_slot = -1) {
    return Replayer(
        "decode", [&](const auto& in) { return program(in); }, program.inputs(padding_slot),
        Buckets({1, 4}), std::make_shared<Arena>(size_t{1} << 24));
  }

  DecodeProgram eager_;
  DecodeProgram replayed_;
};

TEST_F(ReplayerTest, GivesTheBitsOfEagerAtEveryFillOfABucket) {
  Replayer replayer = this->replayer(replayed_);
  for (const int64_t tokens : {1, 2, 3, 4, 2, 1}) {
    EXPECT_TRUE(same_bits(replayer.run(step(tokens), tokens, tokens), eager_(step(tokens))))
        << tokens;
    EXPECT_TRUE(same_bits(replayed_.cache, eager_.cache)) << tokens;
  }
  EXPECT_EQ(replayer.captures(), 2);
  EXPECT_EQ(replayer.witness().replays, 6);
  EXPECT_EQ(replayer.witness().launches, 6 * 3);
  EXPECT_EQ(replayer.witness().dispatcher_calls, 0);
  EXPECT_EQ(replayer.witness().allocations, 0);
}

TEST_F(ReplayerTest, PaddingThatHasASlotIsSeen) {
  Replayer replayer = this->replayer(replayed_, /*padding_slot=*/1);
  replayer.run(step(3), 3, 3);
  eager_(step(3));
  EXPECT_FALSE(same_bits(replayed_.cache, eager_.cache));
}

TEST_F(ReplayerTest, PiecesGiveTheSameBits) {
  std::vector<BucketedInput> inputs = replayed_.inputs();
  for (const size_t i : {2, 3, 4}) inputs[i].is_dynamic = true;
  Replayer replayer("pieces", [&](const auto& in) { return replayed_(in); }, inputs,
                    Buckets({1, 4}), std::make_shared<Arena>(size_t{1} << 24),
                    {"samebits::paged_attention"});
  for (const int64_t tokens : {3, 1, 4}) {
    EXPECT_TRUE(same_bits(replayer.run(step(tokens), tokens, tokens), eager_(step(tokens))));
    EXPECT_TRUE(same_bits(replayed_.cache, eager_.cache)) << tokens;
  }
  EXPECT_EQ(replayer.witness().eager_operators, 3);
}

TEST_F(ReplayerTest, AStepThatNoBucketHoldsIsRefused) {
  Replayer replayer = this->replayer(replayed_);
  EXPECT_THROW(replayer.run(step(5), 5, 5), InputError);
}

}  // namespace
}  // namespace samebits
