#include "harness/compare/divergence.h"

#include <gmock/gmock.h>

#include <algorithm>

#include "tests/compare/streams.h"

namespace samebits {
namespace {

using testing::grpo_stream;
using ::testing::HasSubstr;
using testing::nudged;
using testing::recording;
using testing::scalar;

const Relation kBitExact = {.arms = {"a", "b"}, .reason = ""};

TEST(CompareStreams, EqualStreamsAgree) {
  const PairComparison comparison = compare_streams(grpo_stream(3), grpo_stream(3), kBitExact);
  EXPECT_TRUE(comparison.agrees());
  EXPECT_EQ(comparison.compared, 72);
  EXPECT_EQ(comparison.different, 0);
  EXPECT_FALSE(comparison.first_different_step);
}

TEST(CompareStreams, OneBitIsFoundWhereverItIs) {
  const std::vector<Observation> stream = grpo_stream(3);
  for (const Observation& each : stream) {
    if (!each.bits) continue;
    const PairComparison comparison =
        compare_streams(stream, nudged(stream, each.step, each.site), kBitExact);
    ASSERT_TRUE(comparison.first) << each.site;
    EXPECT_EQ(comparison.first->site, each.site);
    EXPECT_EQ(comparison.first->step, each.step);
    EXPECT_EQ(comparison.first->distance, 1u);
    EXPECT_EQ(comparison.different, each.site.starts_with("logprob") ? 2 : 1);  // in both phases
  }
}

TEST(CompareStreams, FirstDivergenceIsTheFirstInProgramOrder) {
  std::vector<Observation> other = nudged(grpo_stream(3), 2, "loss", 9);
  other = nudged(other, 1, "grad_norm", 3);
  other = nudged(other, 1, "logprob[1,0]", 2);
  const PairComparison comparison = compare_streams(grpo_stream(3), other, kBitExact);
  EXPECT_EQ(comparison.first->text().substr(0, 29), "step 1, rollout, logprob[1,0]");
  EXPECT_EQ(comparison.different, 4);  // the logprob in both phases
  EXPECT_EQ(comparison.first_different_step, 1);
  EXPECT_EQ(comparison.max_loss_ulp, 9u);
  EXPECT_EQ(comparison.max_logprob_ulp, 2u);
}

TEST(CompareStreams, FirstValueIsTheFirstThatBothSaw) {
  const std::vector<Observation> whole = grpo_stream(2);
  std::vector<Observation> other = nudged(whole, 0, "loss");
  EXPECT_EQ(compare_streams(whole, other, kBitExact).first_value->text(),
            compare_streams(whole, other, kBitExact).first->text());
  other.erase(other.begin());
  const PairComparison comparison = compare_streams(whole, other, kBitExact);
  EXPECT_EQ(comparison.first->site, whole[0].site);
  EXPECT_EQ(comparison.first->values(), "seen by the first only");
  ASSERT_TRUE(comparison.first_value);
  EXPECT_EQ(comparison.first_value->site, "loss");
  EXPECT_EQ(comparison.first_value->distance, 1u);
  other = whole;
  other.erase(other.begin());
  EXPECT_FALSE(compare_streams(whole, other, kBitExact).first_value);
}

TEST(CompareStreams, MissingAndExtraObservationsAreDivergences) {
  const std::vector<Observation> whole = grpo_stream(2);
  std::vector<Observation> less = whole;
  less.erase(less.begin() + 4);
  const PairComparison missing = compare_streams(whole, less, kBitExact);
  EXPECT_EQ(missing.only_a, 1);
  EXPECT_EQ(missing.first->site, whole[4].site);
  EXPECT_THAT(missing.first->text(), HasSubstr("seen by the first only"));
  const PairComparison extra = compare_streams(less, whole, kBitExact);
  EXPECT_EQ(extra.only_b, 1);
  EXPECT_EQ(extra.first->site, whole[4].site);
  EXPECT_THAT(extra.first->text(), HasSubstr("seen by the second only"));
}

TEST(CompareStreams, ExtraObservationComesBeforeALaterDifference) {
  const std::vector<Observation> a = grpo_stream(1);
  std::vector<Observation> b = nudged(a, 0, "loss");
  b.insert(b.begin(), scalar(0, "rollout", "surprise", 1));
  EXPECT_EQ(compare_streams(a, b, kBitExact).first->site, "surprise");
}

TEST(CompareStreams, AnotherOrderIsADivergence) {
  std::vector<Observation> other = grpo_stream(2);
  const size_t loss = testing::at_site(other, 1, "loss");
  std::swap(other[loss], other[loss + 1]);
  const PairComparison comparison = compare_streams(grpo_stream(2), other, kBitExact);
  EXPECT_FALSE(comparison.agrees());
  EXPECT_EQ(comparison.different, 0);
  EXPECT_THAT(comparison.first->text(),
              HasSubstr("step 1, train, kl: seen by the second in another"));
}

TEST(CompareStreams, RepeatedSitesAlignByOccurrence) {
  const std::vector<Observation> a = {scalar(0, "p", "x", 1), scalar(0, "p", "x", 2)};
  const std::vector<Observation> b = {scalar(0, "p", "x", 1), scalar(0, "p", "x", 3)};
  EXPECT_TRUE(compare_streams(a, a, kBitExact).agrees());
  const PairComparison comparison = compare_streams(a, b, kBitExact);
  EXPECT_EQ(comparison.first->occurrence, 1);
  EXPECT_THAT(comparison.first->text(), HasSubstr("x (occurrence 1): 2 against 3"));
}

TEST(CompareStreams, OperatorOutputsAreNamed) {
  const auto operator_stream = [](float moved) {
    const float first[2] = {1, 2};
    const float second[2] = {3, moved};
    return std::vector<Observation>{
        observe_tensor(0, "rollout", 0, "layers.2.ffn.w2#0", Dtype::float32, {1, 2}, first),
        observe_tensor(0, "rollout", 0, "layers.3.attention.wo#0", Dtype::float32, {1, 2}, second),
        scalar(0, "rollout", "logprob[0,0]", -moved)};
  };
  const PairComparison comparison =
      compare_streams(operator_stream(4), operator_stream(5), kBitExact);
  EXPECT_THAT(comparison.first->text(),
              HasSubstr("step 0, rollout, layers.3.attention.wo#0: float32 [1, 2], digest"));
  EXPECT_TRUE(is_operator_site(comparison.first->site));
  EXPECT_FALSE(is_operator_site("logprob[0,0]"));
}

TEST(CompareStreams, UlpRelationLetsItsBoundPassAndNotMore) {
  const Relation ulp = {.arms = {"a", "b"}, .holds = Holds::kUlp, .max_ulp = 3, .reason = ""};
  EXPECT_TRUE(compare_streams(grpo_stream(2), nudged(grpo_stream(2), 1, "loss", 3), ulp).agrees());
  EXPECT_FALSE(compare_streams(grpo_stream(2), nudged(grpo_stream(2), 1, "loss", 4), ulp).agrees());
}

TEST(CompareStreams, NothingInCommonIsNoAgreement) {
  EXPECT_FALSE(compare_streams({}, {}, kBitExact).agrees());
}

// A stream may say it of one side alone, where the bits say it of both.
TEST(CompareStreams, NansOfOtherBitsAreToldAsThat) {
  const float nan = std::nanf("");
  const std::vector<Observation> a = {scalar(0, "train", "loss", nan)};
  const std::vector<Observation> b = {scalar(0, "train", "loss", -nan)};
  EXPECT_EQ(compare_streams(a, b, Relation()).first->values(),
            "nan against nan, two NaNs of other bits");
}

TEST(CompareStreams, NanThatOnlyOneStreamCountsIsNoAgreement) {
  std::vector<Observation> a = grpo_stream(1);
  const std::vector<Observation> b = a;
  const auto weight = std::find_if(a.begin(), a.end(), [](const auto& each) { return !each.bits; });
  weight->nonfinite = 3;
  EXPECT_EQ(compare_streams(a, b, kBitExact).nonfinite, 1);
  EXPECT_EQ(compare_streams(b, a, kBitExact).nonfinite, 1);
  EXPECT_EQ(compare_streams(b, b, kBitExact).nonfinite, 0);
}

TEST(CompareRecordings, RanksOfTheLargerMeshAreLeftOutAndCommonOnesAreNot) {
  ArmRecording one = recording("a", grpo_stream(2));
  ArmRecording two = recording("b", grpo_stream(2));
  two.ranks.push_back({{observe_float32(0, "train", 1, "loss", 1)}, 0, 0});
  EXPECT_TRUE(compare_recordings(one, two, kBitExact).agrees());
  one.ranks.push_back({{observe_float32(0, "train", 1, "loss", 2)}, 0, 0});
  const PairComparison comparison = compare_recordings(one, two, kBitExact);
  ASSERT_TRUE(comparison.first);
  EXPECT_EQ(comparison.first->rank, 1);
  EXPECT_THAT(comparison.first->text(), HasSubstr("train, rank 1, loss: 2 against 1"));
}

}  // namespace
}  // namespace samebits
