#pragma once

#include <optional>
#include <string>

#include "harness/base/json.h"

namespace samebits {

// A place where a tokenizer.json says something else than Transformers' Qwen2Tokenizer, which reads
// no more of it than vocabulary, merges, added tokens and post-processor, and puts its own in the
// place of the rest.
struct OtherThanQwen2 {
  std::string where;  // file and key
  std::string found;  // its JSON, shortened
};

// nullopt if the file says the same. `normalizes`: its normalizer comes to NFC;
// `add_prefix_space`: that of tokenizer_config.json.
// Source: transformers, models/qwen2/tokenization_qwen2.py.
std::optional<OtherThanQwen2> other_than_qwen2(const JsonReader& tokenizer, bool normalizes,
                                               bool add_prefix_space);

}  // namespace samebits
