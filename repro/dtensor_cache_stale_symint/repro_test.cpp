#include "repro/dtensor_cache_stale_symint/repro.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "harness/capture/captured_program.h"
#include "harness/detect/compare_outputs.h"
#include "harness/detect/findings.h"
#include "repro/dtensor_cache_stale_symint/spec_cache.h"

namespace samebits {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// What a trace of its own says, of a program that was traced before at the first of two sizes.
std::string second_trace(const Subject& subject, int64_t first, int64_t second) {
  const auto trace_at = [&](int64_t size) {
    CapturedProgram(subject.program, subject.dims, subject.guards)(subject.inputs(size));
  };
  if (first != 0) trace_at(first);
  return error_of([&] { trace_at(second); }).value_or("");
}

TEST(StaleSymbol, EndsTheSecondTraceOfAProcess) {
  EXPECT_THAT(second_trace(expanded_gradient(Side::kBuggy), /*first=*/6, /*second=*/5),
              HasSubstr("a symbolic size of another trace: s"));
  EXPECT_THAT(second_trace(expanded_gradient(Side::kFixed), /*first=*/6, /*second=*/5), IsEmpty());
}

TEST(StaleSymbol, IsNotThereInTheFirst) {
  for (const int64_t size : {5, 6}) {
    EXPECT_THAT(second_trace(expanded_gradient(Side::kBuggy), /*first=*/0, size), IsEmpty());
  }
}

TEST(StaleSymbol, IsFoundWhereAProgramIsTracedTwice) {
  EXPECT_THAT(uncapturable(expanded_gradient(Side::kBuggy)),
              ElementsAre(HasSubstr("a symbolic size of another trace: s")));
  EXPECT_THAT(uncapturable(expanded_gradient(Side::kFixed)), IsEmpty());
  // One graph for all sizes is one trace.
  Subject once = expanded_gradient(Side::kBuggy);
  once.guards = GuardPolicy::kDrop;
  EXPECT_THAT(uncapturable(once), IsEmpty());
}

TEST(SpecCache, KeepsCallsThatAreEqual) {
  SpecCache cache(SpecCache::Symbols::kNotKept);
  const auto expanded = [&](int64_t rows) {
    const std::vector<c10::IValue> args{at::tensor(3.F), std::vector<int64_t>{rows, 8}, false};
    return cache.find_or_infer("aten::expand", args)[0].sizes;
  };
  EXPECT_THAT(expanded(5), ElementsAre(5, 8));
  EXPECT_THAT(expanded(5), ElementsAre(5, 8));
  EXPECT_EQ(cache.size(), 1U);
  EXPECT_THAT(expanded(6), ElementsAre(6, 8));
  EXPECT_EQ(cache.size(), 2U);
}

}  // namespace
}  // namespace samebits
