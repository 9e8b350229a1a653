#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "harness/workload/tokenizer/tokenizer.h"

namespace samebits {

// Reads a byte-level BPE tokenizer. What samebits supports, everything else being refused:
//
//   model           BPE; merges as "a b" or ["a", "b"]; ignore_merges; a token for every byte
//   normalizer      null or NFC
//   pre_tokenizer   ByteLevel, or a Sequence of Splits that ends with ByteLevel
//   post_processor  null, ByteLevel, TemplateProcessing (its `single`), or a Sequence of these
//   decoder         ByteLevel
//   added_tokens    all flags; an id must be the one that the `tokenizers` library assigns
//
// From tokenizer_config.json come `eos_token` and those entries of `added_tokens_decoder` that
// tokenizer.json lacks. Throws InputError: file, key, found, expected.
TokenizerParts read_tokenizer_folder(const std::filesystem::path& folder);

// A file's text and the name that messages give it.
struct NamedText {
  std::string_view text;
  std::string name;
};
TokenizerParts read_tokenizer(const NamedText& tokenizer, const std::optional<NamedText>& config);

}  // namespace samebits
