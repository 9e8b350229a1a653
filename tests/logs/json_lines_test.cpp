#include <gmock/gmock.h>

#include "tests/logs/logs.h"

namespace samebits {
namespace {

using ::testing::ElementsAre;
using testing::error_of;
using ::testing::HasSubstr;
using testing::precision_of;
using testing::value_at;

Log jsonl_of(const std::string& text, LogSettings settings = {}) {
  settings.format = "jsonl";
  return testing::read(text, settings);
}
std::string jsonl_error(const std::string& text, LogSettings settings = {}) {
  settings.format = "jsonl";
  return error_of(text, settings);
}

TEST(JsonLines, EveryKeyIsASite) {
  const Log log = jsonl_of(R"({"step": 3, "data": {"actor/loss": 0.25, "at": [1, 2.5]}, "run": "x"}
{"step": 4, "data": {"actor/loss": -0.0, "at": null}, "run": "x"}
)");
  EXPECT_EQ(log.stream.observations.size(), 4);
  EXPECT_EQ(value_at(log, 3, "data.actor/loss"), "0.25");
  EXPECT_EQ(value_at(log, 3, "data.at[1]"), "2.5");
  EXPECT_EQ(value_at(log, 4, "data.actor/loss"), "-0");
  EXPECT_EQ(value_at(log, 4, "data.at[1]"), "");
  EXPECT_THAT(log.source.unread, ElementsAre("run"));
}

TEST(JsonLines, OrderOfKeysSaysNothing) {
  EXPECT_EQ(jsonl_of(R"({"step": 0, "a": 1, "b": 2})").stream.observations,
            jsonl_of(R"({"b": 2, "step": 0, "a": 1})").stream.observations);
  EXPECT_NE(jsonl_of(R"({"step": 0, "a": 1, "b": 2})").stream.observations,
            jsonl_of(R"({"step": 0, "a": 2, "b": 1})").stream.observations);
}

TEST(JsonLines, PythonsNanIsANumberAndATextThatHasItIsNone) {
  const Log log =
      jsonl_of(R"({"step": 0, "loss": NaN, "x": -Infinity, "y": "Infinity", "z": "a \" NaN"}
)");
  EXPECT_EQ(value_at(log, 0, "loss"), "nan");
  EXPECT_EQ(value_at(log, 0, "x"), "-inf");
  EXPECT_EQ(value_at(log, 0, "y"), "inf");
  EXPECT_THAT(log.source.unread, ElementsAre("z"));
}

TEST(JsonLines, NegativeZeroIsNotZero) {
  const std::string row = R"({"step":0,"a":-0,"b":[-0,1e-0,-0.5],"c":" -0","d":)";
  const Log log = jsonl_of(row + "-0}\n");
  EXPECT_EQ(value_at(log, 0, "a"), "-0");
  EXPECT_EQ(value_at(log, 0, "b[0]"), "-0");
  EXPECT_EQ(value_at(log, 0, "b[1]"), "1");
  EXPECT_EQ(value_at(log, 0, "b[2]"), "-0.5");
  EXPECT_EQ(precision_of(log, "a"), "as whole numbers");
  EXPECT_THAT(log.source.unread, ElementsAre("c"));
  EXPECT_NE(log.stream.observations, jsonl_of(row + "0}\n").stream.observations);
  EXPECT_NE(jsonl_error(row + "-00}\n"), "");
}

TEST(JsonLines, FindsTheStep) {
  EXPECT_EQ(value_at(jsonl_of(R"({"global_step": 7, "a": 1})"), 7, "a"), "1");
  EXPECT_EQ(value_at(jsonl_of(R"({"iteration": 2.0, "a": 1})"), 2, "a"), "1");
  LogSettings named;
  named.step = "t.at";
  EXPECT_EQ(value_at(jsonl_of(R"({"t": {"at": 5}, "step": 9})", named), 5, "step"), "9");
  EXPECT_THAT(jsonl_error(R"({"a": 1})"), HasSubstr("log: line 1: found no step"));
  EXPECT_THAT(jsonl_error(R"({"step": 1, "a": 1})", named), HasSubstr("found no \"t.at\""));
  EXPECT_THAT(jsonl_error("{\"step\": 1, \"a\": 1}\n{\"a\": 2}\n"),
              HasSubstr("line 2: found no step"));
  EXPECT_THAT(jsonl_error(R"({"step": -1, "a": 1})"), HasSubstr("the step \"-1\""));
  EXPECT_THAT(jsonl_error(R"({"step": 1.5, "a": 1})"), HasSubstr("a whole number from 0"));
}

TEST(JsonLines, RepeatedStepsAreRefusedUnlessTheySayTheSame) {
  const std::string first = "{\"step\": 1, \"loss\": 0.5, \"epoch\": 1}\n";
  EXPECT_EQ(
      jsonl_of(first + "{\"step\": 1, \"eval\": 2, \"epoch\": 1}\n").stream.observations.size(), 3);
  EXPECT_THAT(jsonl_error(first + "{\"step\": 1, \"loss\": 0.75}\n"),
              HasSubstr("log: line 2: loss: found 0.75 at step 1 after 0.5 at step 1 (line 1)"));
  EXPECT_THAT(jsonl_error(first + "{\"step\": 0, \"loss\": 0.5}\n"), HasSubstr("steps that go on"));
}

TEST(JsonLines, BadInputHasItsLine) {
  const std::string good = "{\"step\": 1, \"loss\": 0.5}\n";
  EXPECT_THAT(jsonl_error(good + "{\"step\": 2, \"lo"), HasSubstr("log: line 2: column 16"));
  EXPECT_THAT(jsonl_error(good + "[1, 2]\n"), HasSubstr("line 2"));
  EXPECT_THAT(jsonl_error(good + "{\"step\": 2, \"loss\": 1e999}\n"), HasSubstr("line 2"));
  EXPECT_THAT(jsonl_error(good + "{\"step\": 2, \"loss\": 9007199254740993}\n"),
              HasSubstr("line 2: loss: found a number that no double holds"));
  EXPECT_THAT(jsonl_error(good + "{\"step\": 2, \"loss\": \"high\"}\n"),
              HasSubstr("values of two kinds"));
  EXPECT_THAT(jsonl_error("\xef\xbb\xbf" + good), HasSubstr("byte 0: found a byte order mark"));
  EXPECT_THAT(jsonl_error(std::string("\xff\xfe{\0", 4)), HasSubstr("byte 0: found UTF-16"));
  EXPECT_THAT(jsonl_error(std::string("{\0\"\0", 4)), HasSubstr("byte 1: found a NUL"));
  EXPECT_THAT(jsonl_error("{\"step\": 1, \"step\": 2, \"loss\": 0.5}\n"),
              HasSubstr("line 1: found step a second time"));
  EXPECT_THAT(jsonl_error(""), HasSubstr("found no value"));
  EXPECT_THAT(jsonl_error("{\"step\": 1}\n"), HasSubstr("found no value"));
  std::string deep;
  for (int i = 0; i < 70; ++i) deep += "[";
  EXPECT_THAT(jsonl_error("{\"step\": 1, \"a\": " + deep), HasSubstr("64 levels"));
}

TEST(JsonLines, OnlyTheSitesThatAreAskedForAreRead) {
  LogSettings settings;
  settings.only = "^loss$";
  const Log log =
      jsonl_of(R"({"step": 0, "loss": 1.5, "time": 2.5, "huge": 9007199254740993})", settings);
  EXPECT_EQ(log.stream.observations.size(), 1);
  settings.only = "^reward$";
  EXPECT_THAT(jsonl_error(R"({"step": 0, "loss": 1.5})", settings), HasSubstr("only"));
}

TEST(JsonLines, PrecisionIsWhatTheDigitsShow) {
  const Log log = jsonl_of(R"({"step": 0, "a": 0.1234567890123456, "b": 0.5372, "c": 12, "d": 0.25}
{"step": 1, "a": 0.5, "b": 0.1000, "c": 13, "d": 0.5}
)");
  EXPECT_EQ(precision_of(log, "a"), "to the bit of float64");
  EXPECT_EQ(precision_of(log, "b"), "to 4 decimals");
  EXPECT_EQ(precision_of(log, "c"), "as whole numbers");
  EXPECT_EQ(precision_of(log, "d"), "to at most 2 decimals and 2 digits");
}

}  // namespace
}  // namespace samebits
