// Every kind of tokenizer file that samebits does not read is refused with its place and reason.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "harness/base/error.h"
#include "tests/base/message_of.h"
#include "tests/base/temporary_folder.h"
#include "tests/tokenizer/oracle.h"

namespace samebits {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

struct Refusal {
  const char* pointer;  // JSON pointer to what is changed in small.json
  const char* value;    // what it becomes
  const char* message;
};

std::string refusal_of(const Json& json) {
  return message_of<InputError>([&] { tokenizer_from_json(json); });
}

constexpr Refusal kRefusals[] = {
    {"/version", R"("2.0")", R"(version: found "2.0", expected "1.0")"},
    {"/normaliser", "null", "normaliser: found a key that samebits does not know"},
    {"/normalizer", R"({"type":"NFKC"})",
     R"(normalizer: found type "NFKC", expected "NFC" or null)"},
    {"/normalizer", R"({"type":"Lowercase"})", R"(found type "Lowercase")"},
    {"/normalizer", R"({"type":"Sequence","normalizers":[{"type":"NFC"},{"type":"NFKC"}]})",
     R"(normalizer.normalizers.1: found type "NFKC")"},
    {"/normalizer", R"([])", "normalizer: found [], expected an object"},
    {"/pre_tokenizer", "null", "pre_tokenizer: found null, expected an object"},
    {"/pre_tokenizer", R"({"type":"Metaspace"})",
     R"(found type "Metaspace", expected "ByteLevel")"},
    {"/pre_tokenizer", R"({"type":"Sequence","pretokenizers":[]})",
     "pre_tokenizer.pretokenizers: found an array of 0"},
    {"/pre_tokenizer/pretokenizers/1", R"({"type":"Digits"})",
     R"(pre_tokenizer.pretokenizers.1: found type "Digits", expected "ByteLevel")"},
    {"/pre_tokenizer/pretokenizers/0", R"({"type":"Punctuation"})",
     R"(pre_tokenizer.pretokenizers.0: found type "Punctuation", expected "Split")"},
    {"/pre_tokenizer/pretokenizers/0", R"({"type":"Digits"})", R"(no key "individual_digits")"},
    {"/pre_tokenizer/pretokenizers/1/cut", "1", "cut: found a key that samebits does not know"},
    {"/pre_tokenizer/pretokenizers/0/behavior", R"("Isolate")", R"(found "Isolate")"},
    {"/pre_tokenizer/pretokenizers/0/invert", "1", "expected true or false"},
    {"/pre_tokenizer/pretokenizers/0/pattern", R"({"Regex":"(a"})", "missing closing parenthesis"},
    {"/pre_tokenizer/pretokenizers/0/pattern", R"({"Regex":"\\w+"})",
     R"(byte 0 of the regular expression: found "\\w", expected an escape)"},
    {"/pre_tokenizer/pretokenizers/0/pattern", R"({"Glob":"*"})", R"(unknown key "Glob")"},
    {"/pre_tokenizer/pretokenizers/0/pattern", R"({"String":""})", "a string that is not empty"},
    {"/decoder", "null", "decoder: found null, expected a \"ByteLevel\" decoder"},
    {"/decoder", R"({"type":"Sequence","decoders":[{"type":"ByteLevel"},{"type":"Fuse"}]})",
     "decoder: found 2 decoders, expected one"},
    {"/decoder", R"({"type":"ByteLevel","cleanup":true})", "decoder.cleanup: found a key"},
    {"/decoder", R"({"type":"WordPiece"})", R"(decoder: found type "WordPiece")"},
    {"/post_processor", R"({"type":"BertProcessing"})", R"(found type "BertProcessing")"},
    {"/post_processor", R"({"type":"Sequence","processors":[{"type":"Sequence"}]})",
     "post_processor.processors.0: found type \"Sequence\""},
    {"/post_processor", R"({"type":"TemplateProcessing","single":[],"special_tokens":{}})",
     R"(post_processor.single: found no sequence, expected exactly one "A")"},
    {"/post_processor",
     R"({"type":"TemplateProcessing","single":[{"Sequence":{"id":"B"}}],"special_tokens":{}})",
     R"(expected exactly one "A")"},
    {"/post_processor",
     R"({"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"x"}}],"special_tokens":{}})",
     R"(found no key "x")"},
    {"/post_processor",
     R"({"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"x"}}],)"
     R"("special_tokens":{"x":{"ids":[9999]}}})",
     "found 9999, expected an id of the vocabulary"},
    {"/post_processor",
     R"({"type":"Sequence","processors":[)"
     R"({"type":"TemplateProcessing","single":[{"Sequence":{"id":"A"}}],"special_tokens":{}},)"
     R"({"type":"TemplateProcessing","single":[{"Sequence":{"id":"A"}}],"special_tokens":{}}]})",
     "post_processor.processors.1: found type \"TemplateProcessing\", expected one"},
    {"/pre_tokenizer/pretokenizers/0/pattern", R"({"Regex":"a","String":"b"})",
     R"(expected "Regex" or "String")"},
    {"/model/unk_token", "5", "model.unk_token: found 5, expected nothing or a string or null"},
    {"/model/fuse_unk", R"("x")", "model.fuse_unk: found \"x\""},
    {"/model/type", R"("WordPiece")", R"(model.type: found "WordPiece", expected "BPE")"},
    {"/model/dropout", "0.1", "model.dropout: found 0.1, expected null"},
    {"/model/continuing_subword_prefix", R"("##")",
     "model.continuing_subword_prefix: found \"##\""},
    {"/model/end_of_word_suffix", R"("</w>")", "model.end_of_word_suffix: found \"</w>\""},
    {"/model/ignore_merges", "0", "expected true or false"},
    {"/model/vocab", "[]", "model.vocab: found [], expected an object"},
    {"/model/vocab", "{}", "model.vocab: found no token \"Ā\" for byte 0"},
    {"/model/vocab/the", "-1", "model.vocab.the: found -1, expected an integer"},
    {"/model/vocab/the", "2147483648", "model.vocab.the: found 2147483648"},
    {"/model/vocab/the", "0", "model.vocab: found id 0 a second time"},
    {"/model/merges", "{}", "model.merges: found {}, expected an array"},
    {"/model/merges/3", R"("abc")", R"(model.merges.3: found "abc", expected "a b")"},
    {"/model/merges/3", R"("a b c")", R"(model.merges.3: found "a b c")"},
    {"/model/merges/3", R"(["a"])", R"(model.merges.3: found ["a"])"},
    {"/model/merges/0", R"("à ¸")", "model.merges.1: "},
    {"/model/merges/3", R"(["a","☃"])", "model.merges.3: found \"☃\", expected a token"},
    {"/model/merges/3", R"(["\u0000","a"])", R"(model.merges.3: found "\u0000", expected a token)"},
    {"/added_tokens/0/id", "5",
     R"(added_tokens.0: found id 5 for "<|endoftext|>", expected 800, the id)"},
    {"/added_tokens/0/content", R"("")", "a string that is not empty"},
    {"/added_tokens/1/content", R"("<|endoftext|>")",
     R"(added_tokens.1: found "<|endoftext|>" a second time, expected every added token once)"},
    {"/added_tokens/0/special", "null", "expected true or false"},
    {"/added_tokens/0/weight", "1", R"(unknown key "weight")"},
};

TEST(TokenizerRefusal, NamesThePlaceAndTheReason) {
  const Json small = oracle_json("small.json");
  EXPECT_NO_THROW(tokenizer_from_json(small));  // the twin: unchanged, it is read
  for (const Refusal& refusal : kRefusals) {
    Json json = small;
    json[Json::json_pointer(refusal.pointer)] = Json::parse(refusal.value);
    const std::string message = refusal_of(json);
    EXPECT_THAT(message, StartsWith("tokenizer.json: ")) << refusal.pointer << refusal.value;
    EXPECT_THAT(message, HasSubstr(refusal.message)) << refusal.pointer;
  }
}

TEST(TokenizerRefusal, EveryMainKeyIsNeeded) {
  const Json small = oracle_json("small.json");
  for (const char* key : {"version", "model", "pre_tokenizer", "decoder"}) {
    Json json = small;
    json.erase(key);
    EXPECT_THAT(refusal_of(json), HasSubstr("found no key \"" + std::string(key) + "\""));
  }
}

TEST(TokenizerRefusal, BrokenJsonNamesTheByte) {
  const std::string text = "{\"version\": \"1.0\", ";
  EXPECT_THAT(message_of<InputError>([&] {
                read_tokenizer({text, "tokenizer.json"}, std::nullopt);
              }),
              StartsWith("tokenizer.json: line "));
}

std::string refusal_of_config(const std::string& config) {
  const std::string text = oracle_json("small.json").dump();
  return message_of<InputError>([&] {
    read_tokenizer({text, "tokenizer.json"}, NamedText{config, "tokenizer_config.json"});
  });
}

TEST(TokenizerRefusal, ConfigIsCheckedToo) {
  EXPECT_EQ(refusal_of_config(R"({"tokenizer_class":"LlamaTokenizer"})"),
            "tokenizer_config.json: tokenizer_class: found \"LlamaTokenizer\", expected "
            "\"Qwen2Tokenizer\" or \"PreTrainedTokenizerFast\"");
  EXPECT_THAT(refusal_of_config(R"({"split_special_tokens":true})"),
              HasSubstr("split_special_tokens: found true, expected nothing or null or false"));
  EXPECT_THAT(refusal_of_config(R"({"lowercase":false})"),
              HasSubstr("lowercase: found a key that samebits does not know"));
  EXPECT_THAT(refusal_of_config(R"({"extra_special_tokens":["<a>"],)"
                                R"("additional_special_tokens":["<b>"]})"),
              HasSubstr("additional_special_tokens: found [\"<b>\"]"));
  EXPECT_THAT(refusal_of_config(R"({"eos_token":7})"), HasSubstr("eos_token: found 7"));
  EXPECT_THAT(refusal_of_config(R"({"added_tokens_decoder":{"x":{}}})"),
              HasSubstr("key \"x\", expected a token id"));
  const std::string flags =
      R"("single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true)";
  const auto refusal_of_five = [&](const std::string& content) {
    return refusal_of_config(R"({"tokenizer_class":"TokenizersBackend","added_tokens_decoder":)"
                             R"({"5":{"content":")" +
                             content + R"(",)" + flags + "}}}");
  };
  EXPECT_THAT(refusal_of_five("<|im_end|>"),
              HasSubstr("expected the id that tokenizer.json gives it, 802"));
  EXPECT_THAT(refusal_of_five("<new>"), HasSubstr("found id 5 for \"<new>\", expected 810"));
  // The class of Qwen2 takes the added tokens from here alone.
  EXPECT_THAT(
      refusal_of_config(R"({"tokenizer_class":"Qwen2Tokenizer","added_tokens_decoder":{}})"),
      HasSubstr("added_tokens_decoder: found no entry 800 for \"<|endoftext|>\""));
}

TEST(TokenizerRefusal, MissingFilesAreNamed) {
  const TemporaryFolder folder;
  EXPECT_EQ(message_of<InputError>([&] { Tokenizer::from_folder(folder.path()); }),
            folder / "tokenizer.json" + ": cannot be opened: No such file or directory");
}

TEST(TokenizerRefusal, WhatCannotBeAnId) {
  const Tokenizer tokenizer = tokenizer_from_json(oracle_json("small.json"));
  const std::vector<int64_t> good{0, tokenizer.vocab_size() - 1};
  EXPECT_NO_THROW(tokenizer.decode(good, false));
  for (const int64_t id : {int64_t{-1}, int64_t{1} << 32}) {
    EXPECT_EQ(
        message_of<InputError>([&] {
          tokenizer.decode(std::vector<int64_t>{0, id}, false);
        }),
        "token ids: position 1: found id " + std::to_string(id) + ", expected 0 to 4294967295");
  }
}

TEST(TokenizerRefusal, TextThatIsNoUtf8) {
  const Tokenizer tokenizer = tokenizer_from_json(oracle_json("small.json"));
  EXPECT_EQ(message_of<InputError>([&] { tokenizer.encode("ab\xc3"); }),
            "text: byte 2: found bytes that are no UTF-8, expected UTF-8");
}

}  // namespace
}  // namespace samebits
