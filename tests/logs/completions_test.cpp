#include <gmock/gmock.h>

#include "tests/logs/logs.h"

namespace samebits {
namespace {

using testing::at;
using testing::error_of;
using ::testing::HasSubstr;
using testing::precision_of;
using testing::value_at;

// As vLLM answers /v1/completions with logprobs, prompt_logprobs and return_token_ids.
const char* const kCompletion =
    R"({"id": "cmpl-1", "object": "text_completion", "created": 1764460800,
  "choices": [{"index": 0, "text": " a b", "logprobs": {
      "tokens": [" a", " b"], "token_logprobs": [-1.1795123815536499, null],
      "top_logprobs": [{" a": -1.1795123815536499, " c": -2.5}, null], "text_offset": [0, 2]},
    "finish_reason": "length", "token_ids": [64, 293],
    "prompt_token_ids": [9, 8],
    "prompt_logprobs": [null, {"14924": {"logprob": -6.5, "rank": 1, "decoded_token": "Q.x[0]"}}]},
   {"index": 1, "text": "!", "logprobs": {"tokens": ["!"], "token_logprobs": [-0.25]}}],
  "usage": {"prompt_tokens": 2}})";

TEST(Completions, OfVllmAreLogprobsAndTokensByChoice) {
  const Log log = testing::read(kCompletion, {}, "answer.json");
  EXPECT_EQ(log.source.format, "completions");
  EXPECT_EQ(value_at(log, 0, "logprob[0,0]"), "-1.17951238155365");
  EXPECT_EQ(value_at(log, 0, "logprob[0,1]"), "");  // null
  EXPECT_EQ(value_at(log, 0, "logprob[1,0]"), "-0.25");
  EXPECT_EQ(value_at(log, 0, "token_id[0,1]"), "293");
  EXPECT_EQ(value_at(log, 0, "prompt_token_id[0,0]"), "9");
  EXPECT_EQ(value_at(log, 0, "prompt_logprob[0,1].14924"), "-6.5");
  EXPECT_EQ(log.stream.observations.size(), 2 + 3 + 2 + 2 + 1);
  EXPECT_EQ(precision_of(log, "logprob[0,0]"), "to the bit of float64");
  EXPECT_EQ(precision_of(log, "logprob[1,0]"), "to 2 decimals");
  EXPECT_EQ(precision_of(log, "token[0,0]"), "to the bit");
}

TEST(Completions, OfAChatHaveTheSameSites) {
  const Log log = testing::read(
      R"({"object": "chat.completion", "choices": [{"index": 0, "message": {"content": "Hi."},
          "logprobs": {"content": [
            {"token": "Hi", "logprob": -0.5, "bytes": [72, 105], "top_logprobs": [{"token": "Hi", "logprob": -0.5}]},
            {"token": ".", "logprob": -0.125, "bytes": null, "top_logprobs": []}]}}],
          "prompt_logprobs": [null, {"7": {"logprob": -3.5, "rank": 2}}]})",
      {}, "chat.json");
  EXPECT_EQ(value_at(log, 0, "logprob[0,1]"), "-0.125");
  EXPECT_EQ(value_at(log, 0, "prompt_logprob[0,1].7"), "-3.5");
  EXPECT_EQ(log.stream.observations.size(), 2 + 2 + 1);
}

TEST(Completions, AChoiceWithoutLogprobsIsTold) {
  const auto answer = [](const std::string& text) {
    return R"({"choices": [{"text": "a", "logprobs": {"token_logprobs": [-0.5]}}, {"text": ")" +
           text + R"(", "logprobs": null, "prompt_token_ids": [7]}]})";
  };
  const Log log = testing::read(answer("b"), {}, "answer.json");
  EXPECT_EQ(value_at(log, 0, "logprob[0,0]"), "-0.5");
  EXPECT_THAT(log.source.unread, ::testing::ElementsAre("choice[1]"));
  EXPECT_TRUE(testing::read(kCompletion, {}, "answer.json").source.unread.empty());
}

TEST(Completions, OtherTokensOfTheSameLogprobsAreSeen) {
  const auto answer = [](const std::string& token) {
    return testing::read(R"({"choices": [{"logprobs": {"tokens": [")" + token +
                             R"("], "token_logprobs": [-1.5]}}]})",
                         {}, "answer.json");
  };
  EXPECT_EQ(answer(" a").stream.observations, answer(" a").stream.observations);
  EXPECT_NE(answer(" a").stream.observations, answer(" b").stream.observations);
}

TEST(Completions, TokensThatReadLikeNoNumberAreTexts) {
  const auto answer = [](const std::string& token) {
    return R"({"choices": [{"logprobs": {"tokens": [")" + token +
           R"("], "token_logprobs": [NaN]}}]})";
  };
  const Log log = testing::read(
      answer("a") + "\n" + answer("inf") + "\n" + answer("nan") + "\n" + answer("NaN") + "\n", {},
      "answers.jsonl");
  EXPECT_EQ(precision_of(log, "token[0,0]"), "to the bit");
  EXPECT_EQ(at(log, 1, "token[0,0]")->dtype, Dtype::uint8);
  EXPECT_NE(at(log, 2, "token[0,0]")->digest, at(log, 3, "token[0,0]")->digest);
  EXPECT_EQ(value_at(log, 1, "logprob[0,0]"), "nan");
}

TEST(Completions, EachLineOrElementIsAStep) {
  const std::string one = R"({"choices": [{"logprobs": {"token_logprobs": [-1.5]}}]})";
  const std::string two = R"({"choices": [{"logprobs": {"token_logprobs": [-2.5]}}]})";
  const std::string batch =
      R"({"custom_id": "b", "response": {"status_code": 200, "body": )" + two + "}}";
  for (const auto& [file, text] :
       {std::pair<std::string, std::string>("a.jsonl", one + "\n" + two + "\n"),
        {"batch.jsonl", one + "\n\n" + batch + "\n"},
        {"a.json", one + "\n" + two + "\n"},
        {"list.json", "[" + one + ", " + two + "]"}}) {
    const Log log = testing::read(text, {}, file);
    EXPECT_EQ(value_at(log, 0, "logprob[0,0]"), "-1.5") << file;
    EXPECT_EQ(value_at(log, 1, "logprob[0,0]"), "-2.5") << file;
  }
}

TEST(Completions, BadInputIsRefused) {
  EXPECT_THAT(error_of(R"({"choices": [{"text": "a", "logprobs": null}]})", {}, "a.json"),
              HasSubstr("a.json: found no value"));
  const std::string whole = kCompletion;
  for (const size_t size : {whole.size() - 1, whole.size() / 2, size_t{80}}) {
    EXPECT_THAT(error_of(whole.substr(0, size),
                         {.format = "completions", .pattern = "", .step = "", .only = ""}),
                HasSubstr("log: line 1"));
  }
  EXPECT_THAT(error_of(R"({"choices": [{"logprobs": {"token_logprobs": [9007199254740993]}}]})", {},
                       "a.json"),
              HasSubstr("a number that no double holds"));
  EXPECT_THAT(error_of("{\"choices\": [{\"token_ids\": [1]}]}\n{\"choices\"\n", {}, "a.jsonl"),
              HasSubstr("a.jsonl: line 2"));
  EXPECT_THAT(
      error_of("{\"choices\": [{\"token_ids\": [1]}]}\n{\"choices\": [{\"token_ids\": [\"a\"]}]}\n",
               {}, "a.jsonl"),
      HasSubstr("values of two kinds"));
}

}  // namespace
}  // namespace samebits
