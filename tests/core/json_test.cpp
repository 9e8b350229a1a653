#include "harness/core/json.h"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>

#include "harness/core/error.h"
#include "tests/support/scratch.h"

namespace samebits {
namespace {

using ::testing::HasSubstr;
using testing::message_of;
using ::testing::StartsWith;

std::string error_of(const std::string& text) {
  return message_of<InputError>([&] { parse_json(text, "f.json"); });
}

TEST(ParseJson, KeepsTheOrderOfKeys) {
  EXPECT_EQ(parse_json(R"({"b": [1, {"z": null}], "a": -0.5, "c": {}})", "f").dump(),
            R"({"b":[1,{"z":null}],"a":-0.5,"c":{}})");
}

TEST(ParseJson, EveryTruncationIsRefusedWithItsByte) {
  const std::string text = R"({"a": [1, 2.5, "x\n"], "b": {"c": true}})";
  EXPECT_NO_THROW(parse_json(text, "f.json"));
  for (size_t size = 0; size < text.size(); ++size) {
    EXPECT_THAT(error_of(text.substr(0, size)), StartsWith("f.json: byte ")) << size;
  }
}

TEST(ParseJson, BrokenTextIsRefused) {
  for (const char* text : {"{\"a\": 1,}", "{a: 1}", "[1 2]", "{} {}", "nul", "'a'", "[1e999]",
                           "\"\xff\"", "// note\n1", "{\"a\"\n\n: }"}) {
    EXPECT_THAT(error_of(text), HasSubstr("f.json: byte")) << text;
  }
}

TEST(ParseJson, DuplicateKeysAreRefusedWithTheirPath) {
  EXPECT_THAT(error_of(R"({"a": [{}, {"b": 1, "c": 2, "b": 1}]})"),
              StartsWith("f.json: a.1.b: found the key a second time"));
  EXPECT_NO_THROW(parse_json(R"([{"b": 1}, {"b": 1}])", "f"));
}

TEST(ParseJson, DeepNestingIsRefused) {
  const auto nested = [](size_t depth) {
    return std::string(depth, '[') + std::string(depth, ']');
  };
  EXPECT_NO_THROW(parse_json(nested(64), "f"));
  EXPECT_THAT(error_of(nested(65)), HasSubstr("at most 64"));
  EXPECT_THAT(error_of(std::string(1000000, '[')), HasSubstr("at most 64"));
}

TEST(ParseJson, MessagesStayOneLine) {
  EXPECT_THAT(error_of("{\"a\\nb\": {\"c\": 1, \"c\": 1}}"), HasSubstr("a\\nb.c"));
}

class Reader : public ::testing::Test {
 protected:
  JsonReader at(const std::string& text) {
    json_ = parse_json(text, "f.json");
    return JsonReader(json_, "f.json", "key");
  }
  template <class Call>
  std::string error_at(const std::string& text, Call&& call) {
    return message_of<InputError>([&] { call(at(text)); });
  }
  Json json_;
};

TEST_F(Reader, SaysWhereWhatAndWhy) {
  EXPECT_EQ(error_at("[1]", [](const JsonReader& json) { json.string(); }),
            "f.json: key: found [1], expected a string");
  EXPECT_EQ(error_at("1.0", [](const JsonReader& json) { json.integer(1, 8); }),
            "f.json: key: found 1.0, expected an integer from 1 to 8");
  EXPECT_EQ(
      error_at("{\"tpp\": 1}",
               [](const JsonReader& json) {
                 json.object({"kind", "tp"});
               }),
      "f.json: key: found unknown key \"tpp\", expected one of \"kind\", \"tp\" (did you mean "
      "\"tp\"?)");
  EXPECT_EQ(error_at("{}", [](const JsonReader& json) { json.required("tp"); }),
            "f.json: key: found no key \"tp\", expected it to be there");
}

TEST_F(Reader, RangesEndWhereTheySay) {
  EXPECT_EQ(at("8").integer(1, 8), 8);
  EXPECT_THAT(error_at("9", [](const JsonReader& json) { json.integer(1, 8); }), HasSubstr("9"));
  EXPECT_EQ(at("9223372036854775807").integer(), std::numeric_limits<int64_t>::max());
  EXPECT_THAT(error_at("9223372036854775808", [](const JsonReader& json) { json.integer(); }),
              HasSubstr("9223372036854775808"));
  EXPECT_EQ(at("1").number_in(0, 1, false, true), 1.0);
  EXPECT_THAT(error_at("1", [](const JsonReader& json) { json.number_in(0, 1, false, false); }),
              HasSubstr("(0, 1)"));
  EXPECT_THAT(error_at("0", [](const JsonReader& json) { json.number_above(0); }),
              HasSubstr("above 0"));
  EXPECT_EQ(at("0").number_at_least(0), 0.0);
}

TEST(ShortestText, ReadsBackToTheSameBits) {
  EXPECT_EQ(shortest_text(0.1), "0.1");
  EXPECT_EQ(shortest_text(0.1f), "0.1");
  EXPECT_EQ(shortest_text(static_cast<double>(0.1f)), "0.10000000149011612");
  EXPECT_EQ(shortest_text(-std::numeric_limits<double>::infinity()), "-inf");
}

}  // namespace
}  // namespace samebits
