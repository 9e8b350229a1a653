#include "harness/run/draw_faults.h"

#include <gtest/gtest.h>

#include <set>

namespace samebits {
namespace {

Executed executed(const std::string& op, int64_t call, Executed::Result result) {
  Executed each;
  each.phase = "train";
  each.op = op;
  each.call = call;
  each.results = {result};
  return each;
}

constexpr Executed::Result kFloats{8, 32, true, false};
constexpr Executed::Result kWritten{8, 32, true, true};
constexpr Executed::Result kIntegers{8, 64, false, false};

std::set<FaultKind> kinds_of(const std::vector<Executed>& executions) {
  std::set<FaultKind> kinds;
  for (const auto& [arm, fault] : draw_faults({{"a", executions}}, 200, 7)) {
    EXPECT_EQ(arm, "a");
    kinds.insert(fault.kind);
  }
  return kinds;
}

TEST(DrawFaults, KindsAreDrawnWhereTheyCanDoSomething) {
  using Kinds = std::set<FaultKind>;
  EXPECT_EQ(kinds_of({executed("f", 0, kFloats)}), Kinds{FaultKind::kFlip});
  EXPECT_EQ(kinds_of({executed("f", 0, kFloats), executed("f", 1, kFloats)}),
            (Kinds{FaultKind::kFlip, FaultKind::kStale}));
  EXPECT_EQ(kinds_of({executed("f_", 0, kWritten)}), (Kinds{FaultKind::kFlip, FaultKind::kSkip}));
  EXPECT_EQ(kinds_of({executed("samebits::linear", 0, kFloats)}),
            (Kinds{FaultKind::kFlip, FaultKind::kOrder}));
  EXPECT_EQ(kinds_of({executed("samebits::flash_attention", 0, kFloats)}),
            (Kinds{FaultKind::kFlip, FaultKind::kMask}));
  EXPECT_EQ(kinds_of({executed("samebits::linear_wgrad_", 0, kWritten)}),
            (Kinds{FaultKind::kFlip, FaultKind::kSkip, FaultKind::kOrder}));
  EXPECT_TRUE(kinds_of({executed("f", 0, kIntegers)}).empty());
  Executed other_rank = executed("f", 0, kFloats);
  other_rank.rank = 1;
  EXPECT_TRUE(kinds_of({executed("f", 0, kFloats), other_rank}).contains(FaultKind::kSwap));
  // The second rank's is part of the call over the mesh that came last, whatever its number.
  for (const auto& [arm, fault] :
       draw_faults({{"a", {executed("f", 0, kFloats), executed("f", 1, kFloats), other_rank}}}, 50,
                   7, FaultKind::kSwap)) {
    EXPECT_EQ(fault.call, 1);
  }
  Executed guard = executed("s0 != 1", 0, kFloats);
  guard.results.clear();
  guard.is_guard = true;
  EXPECT_EQ(kinds_of({guard, guard}), Kinds{FaultKind::kGuard});
}

TEST(DrawFaults, OneKindAlone) {
  const std::vector<ArmExecutions> arms = {{"a", {executed("f", 0, kFloats)}},
                                           {"b", {executed("g", 0, kWritten)}}};
  const auto drawn = draw_faults(arms, 10, 3, FaultKind::kSkip);
  ASSERT_EQ(drawn.size(), 10U);
  for (const auto& [arm, fault] : drawn) {
    EXPECT_EQ(arm, "b");
    EXPECT_EQ(fault.kind, FaultKind::kSkip);
  }
  EXPECT_TRUE(draw_faults(arms, 10, 3, FaultKind::kMask).empty());
}

TEST(DrawFaults, HalfOfTheFlipsAreOfOneUlpAndTheOthersOfAnyBit) {
  std::set<int64_t> bits;
  int one_ulp = 0;
  for (const auto& [arm, fault] : draw_faults({{"a", {executed("f", 0, kFloats)}}}, 1000, 7)) {
    bits.insert(fault.bit);
    if (fault.bit == 0) ++one_ulp;
  }
  EXPECT_EQ(bits.size(), 32U);
  EXPECT_EQ(*bits.rbegin(), 31);
  EXPECT_GT(one_ulp, 450);
  EXPECT_LT(one_ulp, 600);
}

TEST(DrawFaults, TheSameSeedDrawsTheSame) {
  const std::vector<ArmExecutions> arms = {{"a", {executed("f", 0, kFloats)}},
                                           {"b", {executed("g", 0, kWritten)}}};
  const auto drawn = draw_faults(arms, 20, 3);
  EXPECT_EQ(drawn, draw_faults(arms, 20, 3));
  EXPECT_NE(drawn, draw_faults(arms, 20, 4));
  EXPECT_EQ(drawn[0].first, "a");
  EXPECT_EQ(drawn[1].first, "b");
}

// One call in a phase is as likely as a thousand in another.
TEST(DrawFaults, WhatRunsSeldomIsDrawnAsOften) {
  std::vector<Executed> executions = {executed("seldom", 0, kFloats)};
  for (int64_t call = 0; call < 1000; ++call)
    executions.push_back(executed("often", call, kFloats));
  int seldom = 0;
  for (const auto& [arm, fault] : draw_faults({{"a", executions}}, 200, 1)) {
    if (fault.kind == FaultKind::kFlip && fault.op == "seldom") ++seldom;
  }
  EXPECT_GT(seldom, 25);
}

}  // namespace
}  // namespace samebits
