#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "harness/base/json.h"
#include "harness/tokenizer/added_tokens.h"

namespace samebits {

// The added tokens of a tokenizer, numbered as the `tokenizers` library does, which never reads an
// `id`: a content that the vocabulary has keeps its id; a new one gets the next number behind the
// vocabulary and the added tokens before it. Source: tokenizers, added_vocabulary.rs, `add_tokens`.
class AddedTokenTable {
 public:
  using Ids = std::unordered_map<std::string, uint32_t>;

  // `ids`: the vocabulary; new tokens are put in too. It must outlive the table. With `normalizes`
  // the text is in Normalization Form C.
  AddedTokenTable(Ids& ids, bool normalizes);

  // nullptr if no added token has this content.
  const AddedToken* find(const std::string& content) const;

  // Adds a token, or gives a known one the flags of `token`; a token that was special stays so.
  // Throws InputError, naming `where`, if two tokens are looked for by the same text.
  void add(AddedToken token, const JsonReader& where);

  // The same for a token of which a file says the id. Throws InputError if it gets another one:
  // such a file would be read differently by everyone.
  void add_with_id(const AddedToken& token, const JsonReader& where);

  // Forgets the tokens; their ids stay theirs.
  void clear();

  // In the order in which they were added.
  const std::vector<AddedToken>& tokens() const { return tokens_; }

  // What a token is looked for by: its content, normalised where its flag says so.
  std::string pattern_of(const AddedToken& token) const;

 private:
  uint32_t id_for(const std::string& content) const;
  void check_pattern(const AddedToken& token, const JsonReader& where) const;

  Ids& ids_;
  bool normalizes_;
  uint32_t next_id_;
  std::vector<AddedToken> tokens_;
  std::unordered_map<std::string, size_t> by_content_;
};

}  // namespace samebits
