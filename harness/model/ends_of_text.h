#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "harness/base/json.h"

namespace samebits {

// The ids that end a completion, as Transformers' generate takes them: those of
// FOLDER/generation_config.json where there is that file, whatever it says, else those of
// `config`, the config.json. Throws InputError for an id outside the vocabulary, and for a
// generation_config.json that asks for what samebits has not, such as a repetition penalty.
std::vector<int64_t> ends_of_text(const std::filesystem::path& folder, const JsonReader& config,
                                  int64_t vocab_size);

}  // namespace samebits
