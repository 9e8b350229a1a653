#pragma once

#include <optional>

#include "harness/base/json.h"
#include "harness/tokenizer/pre_tokenizer.h"
#include "harness/tokenizer/tokenizer.h"

namespace samebits {

// The steps before and after the model of a tokenizer.json. Each reader throws InputError for a
// form that tokenizer_file.h does not list, and for a key that is neither read nor without effect.

// Whether the normalizer comes to NFC; the other accepted forms leave the text as it is.
bool reads_normalizer(const std::optional<JsonReader>& reader);

PreTokenizer read_pre_tokenizer(const JsonReader& reader);

void check_decoder(const JsonReader& reader);

// Adds to the prefix and the suffix of `parts`, of which the tokens must be read already.
void read_post_processor(TokenizerParts& parts, const JsonReader& reader);

}  // namespace samebits
