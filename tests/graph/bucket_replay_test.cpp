#include "harness/graph/bucket_replay.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "harness/base/error.h"
#include "harness/capture/captured_program.h"
#include "harness/dispatch/operator_traits.h"
#include "harness/kernels/functional.h"
#include "tests/kernels/tensors.h"
#include "tests/support/replay_pools.h"

namespace samebits {
namespace {

using ::testing::HasSubstr;
using testing::message_of;
using testing::random_tensor;
using testing::same_bits;
using Tensors = std::vector<at::Tensor>;

constexpr int64_t kTokens = 6;  // of the bucket
const std::vector<DynamicDim> kDims = {{0, 1, "tokens"},
                                       {1, 0, "tokens"},
                                       {2, 0, "sequences"},
                                       {3, 0, "boundaries"},
                                       {4, 0, "sequences"}};
const std::vector<bool> kIsDynamic = {false, false, true, true, true};

class BucketReplayTest : public testing::ReplayPoolTest {
 protected:
  void SetUp() override {
    ReplayPoolTest::SetUp();
    if (IsSkipped()) return;
    weight_ = on_device(random_tensor({8}, at::kBFloat16, 1));
    caches_ = on_device({random_tensor({6, 8, 1, 8}, at::kBFloat16, 2),
                         random_tensor({6, 8, 1, 8}, at::kBFloat16, 3)});
  }

  // `lengths` tokens of fresh sequences, a page each: x, slots, block_table, cu_seqlens, seq_lens.
  Tensors step(const std::vector<int64_t>& lengths, uint64_t seed) const {
    std::vector<int64_t> slots;
    std::vector<int32_t> table, boundaries = {0}, counts;
    for (size_t s = 0; s < lengths.size(); ++s) {
      for (int64_t t = 0; t < lengths[s]; ++t) slots.push_back(static_cast<int64_t>(s) * 8 + t);
      table.push_back(static_cast<int32_t>(s));
      boundaries.push_back(static_cast<int32_t>(slots.size()));
      counts.push_back(static_cast<int32_t>(lengths[s]));
    }
    const auto tokens = static_cast<int64_t>(slots.size());
    return on_device({random_tensor({1, tokens, 1, 8}, at::kBFloat16, seed), at::tensor(slots),
                      at::tensor(table, at::kInt).view({-1, 1}), at::tensor(boundaries, at::kInt),
                      at::tensor(counts, at::kInt)});
  }

  // Two layers: a norm, attention over a paged cache, and a residual that crosses it.
  Tensors program(const Tensors& in) const {
    at::Tensor x = in[0];
    for (int layer = 0; layer < 2; ++layer) {
      const at::Tensor q = ops::rms_norm(x, weight_, 1e-6, /*fused_rounding=*/false);
      ops::write_kv(caches_[layer], caches_[layer], q, q, in[1]);
      const at::Tensor out = ops::paged_attention(q, caches_[layer], caches_[layer], in[2], in[3],
                                                  in[4], /*scale=*/1.0);
      x = ops::residual_add(x, out);
    }
    return {x.view({-1, 8})};
  }

  // Of a bucket of kTokens.
  std::unique_ptr<BucketReplay> make(const Program& program, bool is_captured = true) {
    captured_ = std::make_unique<CapturedProgram>(program, kDims, GuardPolicy::kKeep);
    const Tensors examples = step({kTokens}, 0);
    buffers_ = {pool_->make_buffer("x", examples[0].sizes(), at::kBFloat16),
                pool_->make_buffer("slots", examples[1].sizes(), at::kLong)};
    const auto served = captured_->serve(padded(examples));
    auto replay = std::make_unique<BucketReplay>(
        "step", passes::split(served.graph, attention_operators()), kIsDynamic, pool_);
    if (is_captured) replay->capture(padded(examples), served.symbols);
    return replay;
  }
  std::unique_ptr<BucketReplay> make() {
    return make([this](const Tensors& in) { return program(in); });
  }

  Tensors padded(const Tensors& values) const {
    return {buffers_[0].memory, buffers_[1].memory, values[2], values[3], values[4]};
  }
  // Its first `rows` rows, copied.
  at::Tensor run(BucketReplay& replay, const Tensors& values) {
    pool_->copy(buffers_[0], values[0], {});  // padding is poison
    pool_->copy(buffers_[1], values[1], -1);
    const auto served = captured_->serve(padded(values));
    return replay.run(padded(values), served.symbols)[0].narrow(0, 0, values[1].size(0)).clone();
  }

  at::Tensor weight_;
  std::vector<at::Tensor> caches_;
  std::unique_ptr<CapturedProgram> captured_;
  std::vector<StaticBuffer> buffers_;
};

TEST_P(BucketReplayTest, GivesTheBitsOfEagerForAnyNumberOfSequences) {
  const auto replay = make();
  EXPECT_EQ(replay->captures(), 3);
  const std::vector<std::vector<int64_t>> steps = {{6}, {2, 1, 3}, {1, 1}, {1, 1, 1, 1, 1, 1}, {4}};
  for (const auto& lengths : steps) {
    const Tensors values = step(lengths, lengths.size());
    const at::Tensor replayed = run(*replay, values);
    EXPECT_TRUE(same_bits(replayed, program(values)[0]));
    EXPECT_FALSE(same_bits(replayed, program(step(lengths, 77))[0]));
  }
  EXPECT_EQ(replay->witness().replays, 5 * 3);
  EXPECT_GE(replay->witness().launches, 5 * 6);
  EXPECT_EQ(replay->witness().eager_operators, 5 * 2);
  EXPECT_EQ(replay->witness().dispatcher_calls, 0);
  EXPECT_EQ(replay->witness().allocations, 0);
}

TEST_P(BucketReplayTest, CaptureRunsNothing) {
  const Tensors before = {caches_[0].clone(), caches_[1].clone()};
  make();
  EXPECT_TRUE(same_bits(caches_, before));
}

// Poison in the rows of padding reaches neither the rows that count nor the cache.
TEST_P(BucketReplayTest, PaddingDoesNotLeak) {
  const auto replay = make();
  const Tensors values = step({2, 1}, 5);
  Tensors expected;
  for (const at::Tensor& cache : caches_) expected.push_back(cache.clone());
  const at::Tensor replayed = run(*replay, values);
  caches_.swap(expected);
  EXPECT_TRUE(same_bits(replayed, program(values)[0]));
  EXPECT_TRUE(same_bits(caches_, expected));
}

// Two buckets in one pool, replayed in any order: blocks overlap, values do not.
TEST_P(BucketReplayTest, BucketsShareAPool) {
  const auto first = make();
  const std::vector<StaticBuffer> buffers = buffers_;
  const size_t used = pool_->bytes_used();
  const auto second = make();
  EXPECT_LT(pool_->bytes_used(), used + used / 2);
  const std::vector<StaticBuffer> more_buffers = buffers_;
  for (const bool is_first : {true, false, false, true}) {
    const Tensors values = step({3, 2}, is_first ? 10 : 11);
    buffers_ = is_first ? buffers : more_buffers;
    EXPECT_TRUE(same_bits(run(is_first ? *first : *second, values), program(values)[0]));
  }
}

// A value that two splits and a piece lie between keeps its memory.
TEST_P(BucketReplayTest, AValueThatCrossesEveryPiece) {
  const auto replay = make([this](const Tensors& in) {
    const at::Tensor early = ops::residual_add(in[0], in[0]);
    return Tensors{ops::residual_add(early.view({-1, 8}), program(in)[0])};
  });
  for (const auto& lengths : std::vector<std::vector<int64_t>>{{6}, {1, 2}}) {
    const Tensors values = step(lengths, 3);
    const at::Tensor early = (values[0] + values[0]).view({-1, 8});
    EXPECT_TRUE(same_bits(run(*replay, values), early + program(values)[0]));
  }
}

TEST_P(BucketReplayTest, ASkippedCopyIsFoundByThePieceThatTakesIt) {
  const auto replay = make();
  const Tensors values = step({6}, 1);
  run(*replay, values);
  pool_->copy(buffers_[1], values[1], -1);
  EXPECT_EQ(
      message_of([&] { replay->run(padded(values), captured_->serve(padded(values)).symbols); }),
      "step, piece 0: input 0 (x) was not written since the last replay");
}

TEST_P(BucketReplayTest, AnInputThatIsNotStaticMayNotEnterAPiece) {
  const Program leaking = [this](const Tensors& in) {
    return Tensors{program(in)[0], in[4].view({-1})};
  };
  EXPECT_THAT(message_of([&] { make(leaking); }),
              HasSubstr("aten::view: takes an input that is not static, or a size of one"));
  const Program sized = [this](const Tensors& in) {
    return Tensors{in[0].new_zeros_symint({in[4].sym_size(0), 8})};
  };
  EXPECT_THAT(message_of([&] { make(sized); }),
              HasSubstr("takes an input that is not static, or a size of one"));
}

TEST_P(BucketReplayTest, AWeightThatMovedIsFoundBeforeItsPieceRuns) {
  const auto replay = make();
  weight_.set_(weight_.clone());
  EXPECT_THAT(message_of([&] { run(*replay, step({6}, 1)); }),
              HasSubstr("step, piece 0: the BFloat16 [8] that samebits::rms_norm takes was freed"));
}

SAMEBITS_FOR_ALL_POOLS(BucketReplayTest);

}  // namespace
}  // namespace samebits
