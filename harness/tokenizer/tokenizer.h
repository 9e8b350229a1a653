#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "harness/tokenizer/added_tokens.h"
#include "harness/tokenizer/bpe.h"
#include "harness/tokenizer/pre_tokenizer.h"

namespace samebits {

// What a tokenizer is made of; tokenizer_file.h reads it.
struct TokenizerParts {
  struct Token {
    std::string bytes;     // what it decodes to
    bool special = false;  // left out by decode(skip_special)
  };

  bool normalizes = false;               // to NFC
  std::vector<AddedToken> added_tokens;  // no two with one content
  PreTokenizer pre_tokenizer;
  Bpe bpe;
  std::unordered_map<std::string, uint32_t> ids;  // by name, added tokens included
  std::unordered_map<uint32_t, Token> tokens;     // by id
  std::vector<int64_t> prefix, suffix;            // what the post-processor puts around a text
  std::optional<int64_t> eos_id;
};

// A byte-level BPE tokenizer of Hugging Face's format: the ids and texts are those of the
// `tokenizers` library. Immutable, so threads may share it.
class Tokenizer {
 public:
  explicit Tokenizer(TokenizerParts parts);

  // Reads `folder`/tokenizer.json and, if there is one, tokenizer_config.json. Throws InputError
  // for anything that is broken or of another kind.
  static Tokenizer from_folder(const std::filesystem::path& folder);

  // The ids of a UTF-8 text, special tokens of the post-processor included. Throws InputError, with
  // the byte offset, if the text is not well-formed UTF-8.
  std::vector<int64_t> encode(std::string_view text) const;

  // The text of the ids; bytes that are no UTF-8 become U+FFFD. An id that no token has is nothing,
  // as for Transformers: models have rows of padding, which may be sampled. Throws InputError, with
  // the position, for what cannot be an id.
  std::string decode(std::span<const int64_t> ids, bool skip_special) const;

  // The id of a token by its name as the file spells it ("<|im_end|>", "Ġthe").
  std::optional<int64_t> id_of(const std::string& name) const;

  // One past the largest id; ids in between may be unused.
  int64_t vocab_size() const { return vocab_size_; }

  // The end of a sequence: `eos_token` of tokenizer_config.json.
  std::optional<int64_t> eos_id() const { return parts_.eos_id; }

 private:
  TokenizerParts parts_;
  AddedTokenFinder raw_finder_;         // tokens that are looked for in the text as it is
  AddedTokenFinder normalized_finder_;  // and in the normalised text
  int64_t vocab_size_ = 0;
};

}  // namespace samebits
