#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "harness/tokenizer/tokenizer.h"

namespace samebits {

// Reads a byte-level BPE tokenizer. What samebits supports, everything else being refused:
//
//   model           BPE; merges as "a b" or ["a", "b"]; ignore_merges; a token for every byte
//   normalizer      null or NFC, also in a Sequence
//   pre_tokenizer   ByteLevel, or a Sequence of Splits and Digits that ends with ByteLevel
//   post_processor  null, ByteLevel, TemplateProcessing (its `single`), or a Sequence of these
//   decoder         ByteLevel, also in a Sequence
//   added_tokens    all flags; an id must be the one that the `tokenizers` library assigns
//
// Other files name further tokens: named_tokens.h. Where tokenizer_config.json names the class
// Qwen2Tokenizer, tokenizer.json must say what that class would put in its place (qwen2_form.h);
// where it names none, tokenizer.json is read as it stands, and a difference is said once.
// Throws InputError: file, key, found, expected.
TokenizerParts read_tokenizer_folder(const std::filesystem::path& folder);

// A file's text and the name that messages give it.
struct NamedText {
  std::string_view text;
  std::string name;
};
// Files that only older folders need.
struct OlderTokenFiles {
  std::optional<NamedText> special_tokens_map = std::nullopt;
  std::optional<NamedText> added_tokens = std::nullopt;
};
TokenizerParts read_tokenizer(const NamedText& tokenizer, const std::optional<NamedText>& config,
                              const OlderTokenFiles& older = {});

}  // namespace samebits
