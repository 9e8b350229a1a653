#include "harness/report/gap.h"

#include <gtest/gtest.h>

#include "harness/compare/divergence.h"
#include "tests/compare/streams.h"

namespace samebits {
namespace {

using testing::grpo_stream;

// A run whose trainer finds what the generator reported, 4 logprobs a step; the one of step 1,
// sample 1, token 0 is `distance` representable values further.
std::vector<Observation> run_with_gap(int64_t distance) {
  std::vector<Observation> stream;
  for (const Observation& each : grpo_stream(3)) {
    stream.push_back(each);
    if (site_kind(each.site) != "logprob") continue;
    const bool is_moved = each.step == 1 && each.site == "logprob[1,0]";
    const auto bits = static_cast<uint32_t>(*each.bits + (is_moved ? distance : 0));
    stream.push_back(observe_tensor(each.step, "train", 0, each.site, Dtype::float32, {}, &bits));
  }
  return stream;
}

TEST(LogprobGapTest, IsNoneWhereBothPhasesAgree) {
  const auto gap = logprob_gap(run_with_gap(0));
  ASSERT_TRUE(gap);
  EXPECT_EQ(gap->tokens, 12);
  EXPECT_EQ(gap->different, 0);
  EXPECT_EQ(gap->max_ulp, 0u);
}

TEST(LogprobGapTest, CountsAndMeasuresWhatDiffers) {
  const auto gap = logprob_gap(run_with_gap(3));
  ASSERT_TRUE(gap);
  EXPECT_EQ(gap->tokens, 12);
  EXPECT_EQ(gap->different, 1);
  EXPECT_EQ(gap->max_ulp, 3u);
}

TEST(LogprobGapTest, NeedsBothPhases) { EXPECT_FALSE(logprob_gap(grpo_stream(2))); }

}  // namespace
}  // namespace samebits
