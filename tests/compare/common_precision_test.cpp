#include "harness/compare/common_precision.h"

#include <gmock/gmock.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <random>

#include "harness/compare/verdict.h"
#include "tests/logs/event_file.h"
#include "tests/logs/logs.h"

namespace samebits {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using testing::recording_of;
using testing::scalar_event;

Relation exact_relation() {
  Relation relation;
  relation.holds = Holds::kBitExact;
  relation.arms = {"a", "b"};
  return relation;
}

ArmRecording log_arm(const std::string& name, const std::string& text,
                     const LogSettings& settings) {
  return recording_of(testing::read(text, settings), name);
}
ArmRecording jsonl(const std::string& name, const std::string& text) {
  return log_arm(name, text, {.format = "jsonl", .pattern = "", .step = "", .only = ""});
}
ArmRecording console(const std::string& name, const std::string& text,
                     const std::string& pattern = R"(step (?<step>\d+) loss (?<loss>\S+))") {
  return log_arm(name, text, {.format = "", .pattern = pattern, .step = "", .only = ""});
}
ArmRecording board(const std::string& name, float value) {
  return log_arm(name, scalar_event(1, "loss", value), {});
}

Verdict verdict_of(const ArmRecording& a, const ArmRecording& b) {
  return judge_relation(exact_relation(), {a, b});
}

TEST(LogPrecision, EqualDecimalsAreNotEqualBits) {
  const Verdict verdict =
      verdict_of(console("a", "step 1 loss 8.1661\n"), console("b", "step 1 loss 8.1661\n"));
  EXPECT_TRUE(verdict.holds);
  EXPECT_EQ(verdict.text(), "a and b are equal to 4 decimals (loss)");
  EXPECT_THAT(verdict.equality(), Not(HasSubstr("bit")));
}

TEST(LogPrecision, StreamsAreStillEqualToTheBit) {
  ArmRecording a = board("a", 1.5f);
  ArmRecording b = board("b", 1.5f);
  a.log.reset();
  b.log.reset();
  EXPECT_EQ(verdict_of(a, b).text(), "a and b are equal to the bit");
}

TEST(LogPrecision, WhatTwoLogsOfAFormatShowIsNeverRoundedAway) {
  // One has fewer digits than the other, by chance.
  EXPECT_FALSE(verdict_of(jsonl("a", R"({"step": 1, "loss": 0.5})"),
                          jsonl("b", R"({"step": 1, "loss": 0.5000000298023224})"))
                   .holds);
  EXPECT_FALSE(
      verdict_of(console("a", "step 1 loss 2.5\n"), console("b", "step 1 loss 2.501\n")).holds);
}

TEST(LogPrecision, TheCoarserOfTwoFormatsIsTaken) {
  const float loss = 8.16612f;
  const ArmRecording exact_json =
      jsonl("b", R"({"step": 1, "loss": )" + shortest_text(static_cast<double>(loss)) + "}");
  const Verdict printed = verdict_of(console("a", "step 1 loss 8.1661\n"), exact_json);
  EXPECT_TRUE(printed.holds);
  EXPECT_THAT(printed.text(), HasSubstr("to 4 decimals (loss)"));
  ArmRecording renamed = exact_json;
  renamed.arm = "a";
  const Verdict narrow = verdict_of(renamed, board("b", loss));
  EXPECT_TRUE(narrow.holds);
  EXPECT_THAT(narrow.text(), HasSubstr("to the bit of float32 (loss)"));
  EXPECT_TRUE(verdict_of(console("a", "step 1 loss 8.1661\n"), board("b", loss)).holds);
}

TEST(LogPrecision, WhatTheCoarserOneShowsStillCounts) {
  const float loss = 8.16612f;
  EXPECT_FALSE(verdict_of(console("a", "step 1 loss 8.1662\n"), board("b", loss)).holds);
  const double next = std::nextafter(loss, 9.0f);
  EXPECT_FALSE(verdict_of(jsonl("a", R"({"step": 1, "loss": )" + shortest_text(next) + "}"),
                          board("b", loss))
                   .holds);
}

TEST(LogPrecision, PrintedValuesAreThoseOfPrintf) {
  std::mt19937_64 random(5);
  std::uniform_real_distribution<double> draw(-20, 20);
  for (int i = 0; i < 20'000; ++i) {
    const double value = draw(random);
    const int digits = static_cast<int>(random() % 9) + 1;
    char text[64];
    std::snprintf(text, sizeof text, "%.*f", digits, value);
    Precision precision = {Precision::Kind::kPrinted, digits, 17, true};
    EXPECT_EQ(printed_value(value, precision), std::strtod(text, nullptr)) << text;
    std::snprintf(text, sizeof text, "%.*e", digits - 1, value);
    precision = {Precision::Kind::kPrinted, 40, digits, false};
    EXPECT_EQ(printed_value(value, precision), std::strtod(text, nullptr)) << text;
  }
  const Precision precision = {Precision::Kind::kPrinted, 2, 3, true};
  EXPECT_TRUE(std::isnan(printed_value(NAN, precision)));
  EXPECT_EQ(printed_value(-INFINITY, precision), -INFINITY);
}

TEST(LogPrecision, TheCoarserOneIsLeftOfTwo) {
  const Precision four = {Precision::Kind::kPrinted, 4, 5, true};
  const Precision two = {Precision::Kind::kPrinted, 2, 6, true};
  EXPECT_EQ(coarser(four, two).text(), "to 2 decimals");
  EXPECT_EQ(coarser(four, {.kind = Precision::Kind::kFloat64}), four);
  EXPECT_EQ(
      coarser({.kind = Precision::Kind::kFloat32}, {.kind = Precision::Kind::kFloat64}).text(),
      "to the bit of float32");
}

TEST(LogPrecision, NanInBothIsNoAgreement) {
  const ArmRecording a = jsonl("a", R"({"step": 1, "loss": NaN, "b": 1.5})");
  ArmRecording b = a;
  b.arm = "b";
  EXPECT_FALSE(verdict_of(a, b).holds);
  EXPECT_THAT(verdict_of(a, b).text(), HasSubstr("NaN or infinite in both"));
}

}  // namespace
}  // namespace samebits
