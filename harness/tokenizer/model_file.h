#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>

#include "harness/base/json.h"
#include "harness/tokenizer/bpe.h"

namespace samebits {

// The `model` of a tokenizer.json.
struct ModelFile {
  std::unordered_map<std::string, uint32_t> ids;  // the vocabulary, by name
  Bpe bpe;
};

// Throws InputError for a model other than byte-level BPE, and for a vocabulary or a merge that is
// broken. Where a pair occurs twice the later merge counts, as in the `tokenizers` library.
ModelFile read_model(const JsonReader& model);

}  // namespace samebits
