#include "harness/tokenizer/tokenizer.h"

#include <gtest/gtest.h>

#include "harness/base/error.h"
#include "harness/tokenizer/byte_alphabet.h"
#include "harness/tokenizer/nfc.h"
#include "harness/tokenizer/utf8.h"
#include "tests/base/message_of.h"
#include "tests/base/temporary_folder.h"
#include "tests/tokenizer/oracle.h"

namespace samebits {
namespace {

TEST(Tokenizer, FolderGivesNamesSizesAndTheEndToken) {
  const TemporaryFolder folder;
  write_text_file(folder / "tokenizer.json", oracle_json("small.json").dump());
  write_text_file(folder / "tokenizer_config.json",
                  R"({"tokenizer_class":"PreTrainedTokenizerFast","eos_token":
                     {"__type":"AddedToken","content":"<|im_end|>"},"added_tokens_decoder":{"810":
                     {"content":"<new>","single_word":false,"lstrip":false,"rstrip":false,
                      "normalized":false,"special":true}}})");
  const Tokenizer tokenizer = Tokenizer::from_folder(folder.path());
  EXPECT_EQ(tokenizer.eos_id(), 802);
  EXPECT_EQ(tokenizer.id_of("<|im_end|>"), 802);
  EXPECT_EQ(tokenizer.id_of("none"), std::nullopt);
  EXPECT_EQ(tokenizer.vocab_size(), 811);
  EXPECT_EQ(tokenizer.encode("<new>"), std::vector<int64_t>{810});
  EXPECT_EQ(tokenizer.decode(std::vector<int64_t>{810}, true), "");
  EXPECT_EQ(tokenizer.decode(std::vector<int64_t>{810}, false), "<new>");
}

// tokenizers 0.23.3: decode([9707, 151778, 1879]) of Qwen's vocabulary is "Hello world".
TEST(Tokenizer, IdsThatNoTokenHasAreNothing) {
  const Tokenizer tokenizer = tokenizer_from_json(oracle_json("small.json"));
  std::vector<int64_t> ids = tokenizer.encode("two words");
  ids.insert(ids.begin() + 1, tokenizer.vocab_size());
  ids.push_back(tokenizer.vocab_size() + 9);
  EXPECT_EQ(tokenizer.decode(ids, false), "two words");
}

TEST(Tokenizer, EmptyTextHasNoIds) {
  const Tokenizer tokenizer = tokenizer_from_json(oracle_json("small.json"));
  EXPECT_TRUE(tokenizer.encode("").empty());
  EXPECT_EQ(tokenizer.decode({}, false), "");
}

// One word of a million bytes: an algorithm that is quadratic in the word would need hours.
TEST(Tokenizer, LongWordsAreNotQuadratic) {
  const Tokenizer tokenizer = tokenizer_from_json(oracle_json("small.json"));
  for (const char* unit : {"the", " ", "\n", "e\u0301", "\u0301\u0323"}) {
    std::string text;
    while (text.size() < 1'000'000) text += unit;
    EXPECT_EQ(tokenizer.decode(tokenizer.encode(text), false), nfc(text));
  }
}

TEST(Utf8, LossyReplacesMaximalParts) {
  EXPECT_EQ(lossy_utf8("ok é 日 😀"), "ok é 日 😀");
  EXPECT_EQ(lossy_utf8("\xff"), "\uFFFD");
  EXPECT_EQ(lossy_utf8("\xe6\x97"), "\uFFFD");    // a beginning counts once
  EXPECT_EQ(lossy_utf8("\xe6\x97x"), "\uFFFDx");  // and does not swallow what follows
  EXPECT_EQ(lossy_utf8("\xf0\x9f\x98\xe6\x97\xa5"), "\uFFFD日");
  EXPECT_EQ(lossy_utf8("\xc0\x80"), "\uFFFD\uFFFD");                      // overlong
  EXPECT_EQ(lossy_utf8("\xed\xa0\x80"), "\uFFFD\uFFFD\uFFFD");            // a surrogate
  EXPECT_EQ(lossy_utf8("\xf4\x90\x80\x80"), "\uFFFD\uFFFD\uFFFD\uFFFD");  // above U+10FFFF
  EXPECT_EQ(find_invalid_utf8("日\xed\xa0\x80"), 3u);
  EXPECT_EQ(find_invalid_utf8("日本"), std::nullopt);
}

TEST(Utf8, CodePointsRoundTrip) {
  for (char32_t c = 0; c <= 0x10ffff; ++c) {
    if (c >= 0xd800 && c <= 0xdfff) continue;
    std::string text;
    append_utf8(text, c);
    size_t offset = 0;
    ASSERT_EQ(next_code_point(text, offset), c);
    ASSERT_EQ(offset, text.size());
    ASSERT_EQ(find_invalid_utf8(text), std::nullopt);
  }
}

TEST(ByteAlphabet, EveryByteHasALetter) {
  std::string bytes;
  for (int byte = 0; byte < 256; ++byte) bytes += static_cast<char>(byte);
  EXPECT_EQ(bytes_of_letters(letters_of_bytes(bytes)), bytes);
  EXPECT_EQ(letters_of_bytes(" the\n"), "ĠtheĊ");
  EXPECT_EQ(bytes_of_letters("a b"), std::nullopt);  // a space is no letter
  EXPECT_EQ(bytes_of_letters("日"), std::nullopt);
}

TEST(Nfc, ComposesReordersAndExcludes) {
  EXPECT_EQ(nfc("plain"), "plain");
  EXPECT_EQ(nfc("e\u0301"), "\u00e9");
  EXPECT_EQ(nfc("q\u0307\u0323"), "q\u0323\u0307");
  EXPECT_EQ(nfc("\u1100\u1161\u11a8"), "\uac01");
  EXPECT_EQ(nfc("\u0958"), "\u0915\u093c");  // excluded from composition
  EXPECT_EQ(nfc("\u212b"), "\u00c5");
  EXPECT_EQ(nfc("\ufb01"), "\ufb01");  // a compatibility form stays
}

struct Pattern {
  const char* oniguruma;
  const char* pcre2;
};

TEST(Regex, IsRewrittenForPcre2) {
  const Pattern patterns[] = {
      {R"(\s+(?!\S)|[^\s\d]\D)",
       R"(\p{White_Space}+(?!\P{White_Space})|[^\p{White_Space}\p{Nd}]\P{Nd})"},
      {R"(\p{L}\P{Nd}\p{Han}[\p{Hiragana}])", R"(\p{L}\P{Nd}\p{sc:Han}[\p{sc:Hiragana}])"},
      {R"((?i:'s|'t)\p{N}{1,3}a{2}b{2,}?)", R"((?i:'s|'t)\p{N}{1,3}a{2}b{2,}?)"},
      {R"(\u4e00\x{1F600}\.\/\-[\]\-a])", R"(\x{4e00}\x{1F600}\.\/\-[\]\-a])"},
      {R"((a)(?:b)(?=c)(?!d)(?<=e)(?<!f)(?>g).|日)", R"((a)(?:b)(?=c)(?!d)(?<=e)(?<!f)(?>g).|日)"},
  };
  for (const Pattern& pattern : patterns) {
    EXPECT_EQ(pcre2_from_oniguruma(pattern.oniguruma, "x"), pattern.pcre2);
    EXPECT_NO_THROW(Regex(pattern.oniguruma, "x"));
  }
}

TEST(Regex, WhatWouldBeReadDifferentlyIsRefused) {
  for (const char* pattern :
       {"^a",      "a$",          "\\w",     "\\b",    "\\h",     "\\v",
        "\\x41",   "\\K",         "\\é",     "[a[b]]", "[a&&b]",  "[]a]",
        "[a",      "[[:alpha:]]", "(?i)a",   "(?m:a)", "(?<n>a)", "(*ACCEPT)",
        "a{,3}",   "a{2}?",       "a{2,3}+", "a{",     "a}",      "a]",
        "\\",      "\\p{Alpha}",  "\\pL",    "\\p{L",  "\\u12",   "\\x{110000000}",
        "\\x{zz}", "(a",          "a)",      "*a"}) {
    message_of<InputError>([&] { Regex(pattern, "tokenizer.json: pattern"); });
  }
}

TEST(Regex, AnEmptyMatchAfterAMatchIsPassedOver) {
  const auto matches = Regex("a*", "x").find_all("aab");
  ASSERT_EQ(matches.size(), 2u);
  EXPECT_EQ(matches[0].end, 2u);
  EXPECT_EQ(matches[1].begin, 3u);
  EXPECT_EQ(matches[1].end, 3u);
}

TEST(Regex, RunawayBacktrackingIsAnInputError) {
  message_of<InputError>([] { Regex("(a+)+[bc]", "x").find_all(std::string(64, 'a')); });
}

}  // namespace
}  // namespace samebits
