#include "harness/base/json.h"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>

#include "harness/base/error.h"
#include "tests/support/scratch.h"

namespace samebits {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::message_of;
using ::testing::Not;
using ::testing::StartsWith;

std::string error_of(const std::string& text) {
  return message_of<InputError>([&] { parse_json(text, "f.json"); });
}

TEST(ParseJson, KeepsTheOrderOfKeys) {
  EXPECT_EQ(parse_json(R"({"b": [1, {"z": null}], "a": -0.5, "c": {}})", "f").dump(),
            R"({"b":[1,{"z":null}],"a":-0.5,"c":{}})");
}

TEST(ParseJson, EveryTruncationIsRefusedWithItsPlace) {
  const std::string text = R"({"a": [1, 2.5, "x\n"], "b": {"c": true}})";
  EXPECT_NO_THROW(parse_json(text, "f.json"));
  for (size_t size = 0; size < text.size(); ++size) {
    EXPECT_THAT(error_of(text.substr(0, size)), StartsWith("f.json: line 1, column ")) << size;
  }
}

TEST(ParseJson, BrokenTextIsRefused) {
  for (const char* text : {"{\"a\": 1,}", "{a: 1}", "[1 2]", "{} {}", "nul", "'a'", "[1e999]",
                           "\"\xff\"", "// note\n1", "{\"a\"\n\n: }"}) {
    EXPECT_THAT(error_of(text), HasSubstr("f.json: line")) << text;
  }
}

TEST(ParseJson, NothingHidesBehindANul) {
  const std::string text("[1]\0[2]", 7);
  EXPECT_THAT(message_of<InputError>([&] { parse_json(text, "ids.json"); }),
              StartsWith("ids.json: byte 3: found a NUL"));
}

TEST(ParseJson, LinesAndColumnsAreThoseOfAnEditor) {
  EXPECT_EQ(error_of("{\n  \"a\": 1,\n  \"b\": x\n}"),
            "f.json: line 3, column 8: found \"x\", expected valid JSON");
  EXPECT_EQ(error_of("[\"日本\" 1]"), "f.json: line 1, column 7: found \"1\", expected valid JSON");
  EXPECT_EQ(error_of("{\"a\": 1,\n\n"),
            "f.json: line 3, column 1: found the end of the text, expected valid JSON");
  EXPECT_EQ(error_of("[1,\n 1e999]"),
            "f.json: line 2, column 2: found 1e999, expected a number that a double can hold");
  EXPECT_EQ(message_of<InputError>([] { parse_json_line("[1 2]", "f: line 7"); }),
            "f: line 7: column 4: found \"2\", expected valid JSON");
}

TEST(ParseJson, WhatPythonWritesIsCalledSo) {
  EXPECT_EQ(error_of("[NaN]"),
            "f.json: line 1, column 2: found NaN, which Python writes, expected valid JSON");
  EXPECT_EQ(error_of("[-Infinity]"),
            "f.json: line 1, column 2: found Infinity, which Python writes, expected valid JSON");
}

TEST(ParseJson, AGitLfsPointerIsCalledSo) {
  EXPECT_THAT(error_of("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"),
              HasSubstr("a Git LFS pointer"));
}

TEST(ParseJson, ANumberWithoutEndIsShown) {
  EXPECT_LT(error_of("[" + std::string(3'000'000, '9') + "x").size(), 300u);
  EXPECT_LT(error_of("[1" + std::string(3'000'000, '0') + "]").size(), 300u);
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

TEST(Json, BytesThatAreNoUtf8AreNamed) {
  EXPECT_EQ(error_of("{\"a\": \"caf\xe9\"}"),
            "f.json: line 1, column 11: found bytes that are no UTF-8, expected UTF-8");
  EXPECT_THAT(error_of("\n\"\xff\""), HasSubstr("line 2, column 2: found bytes that are no UTF-8"));
  EXPECT_THAT(error_of("\"a\x80\""), HasSubstr("column 3: found bytes"));
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

TEST_F(Reader, NamesHaveNoControlCharacters) {
  EXPECT_EQ(at("\"loss \u00e9\"").name(), "loss \u00e9");
  EXPECT_EQ(error_at("\"a\\u001b\"", [](const JsonReader& json) { json.name(); }),
            "f.json: key: found \"a\\u001b\", expected a name without control characters");
  EXPECT_THAT(error_at("\"a\\nb\"", [](const JsonReader& json) { json.name(); }),
              HasSubstr("a\\nb"));
  EXPECT_THAT(error_at("\"\"", [](const JsonReader& json) { json.name(); }),
              HasSubstr("not empty"));
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
