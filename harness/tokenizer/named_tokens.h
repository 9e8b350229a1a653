#pragma once

#include <optional>
#include <string>

#include "harness/base/json.h"
#include "harness/tokenizer/added_token_table.h"

namespace samebits {

// How Transformers makes a tokenizer of a folder.
enum class TokenizerClass {
  kQwen2,  // its own pipeline over the vocabulary and the merges of tokenizer.json
  kFile    // tokenizer.json as it stands
};

// The files beside tokenizer.json that name tokens; an absent one is nullptr.
struct TokenFiles {
  const JsonReader* config = nullptr;              // tokenizer_config.json
  const JsonReader* special_tokens_map = nullptr;  // special_tokens_map.json
  const JsonReader* added_tokens = nullptr;        // added_tokens.json
};

// Adds the tokens that these files name to those of tokenizer.json, in Transformers' order, and
// returns the content of `eos_token`. Source: transformers, tokenization_utils_base.py
// (`_from_pretrained`), tokenization_utils_tokenizers.py and tokenization_qwen2.py (`__init__`).
//
// The last two files count only where the first has no `added_tokens_decoder`, as there.
// Throws InputError for a key that is neither read nor known to have no effect.
std::optional<std::string> add_named_tokens(AddedTokenTable& table, const TokenFiles& files,
                                            TokenizerClass tokenizer_class);

}  // namespace samebits
