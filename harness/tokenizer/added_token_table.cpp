#include "harness/tokenizer/added_token_table.h"

#include <algorithm>

#include "harness/base/text.h"
#include "harness/tokenizer/nfc.h"

namespace samebits {

AddedTokenTable::AddedTokenTable(Ids& ids, bool normalizes)
    : ids_(ids), normalizes_(normalizes), next_id_(static_cast<uint32_t>(ids.size())) {}

const AddedToken* AddedTokenTable::find(const std::string& content) const {
  const auto found = by_content_.find(content);
  return found == by_content_.end() ? nullptr : &tokens_[found->second];
}

std::string AddedTokenTable::pattern_of(const AddedToken& token) const {
  return token.normalized && normalizes_ ? nfc(token.content) : token.content;
}

uint32_t AddedTokenTable::id_for(const std::string& content) const {
  const auto known = ids_.find(content);
  return known == ids_.end() ? next_id_ : known->second;
}

void AddedTokenTable::check_pattern(const AddedToken& token, const JsonReader& where) const {
  const std::string pattern = pattern_of(token);
  for (const AddedToken& other : tokens_) {
    const bool is_another = other.content != token.content;
    if (is_another && other.normalized == token.normalized && pattern_of(other) == pattern) {
      where.fail(quoted(token.content) + " a second time", "every added token once");
    }
  }
}

void AddedTokenTable::add(AddedToken token, const JsonReader& where) {
  token.id = id_for(token.content);
  check_pattern(token, where);
  const auto [entry, is_new] = by_content_.try_emplace(token.content, tokens_.size());
  if (is_new) {
    tokens_.push_back(token);
  } else {
    token.special = token.special || tokens_[entry->second].special;
    tokens_[entry->second] = token;
  }
  ids_.try_emplace(token.content, token.id);
  next_id_ = std::max(next_id_, token.id + 1);
}

void AddedTokenTable::clear() {
  tokens_.clear();
  by_content_.clear();
}

void AddedTokenTable::add_with_id(const AddedToken& token, const JsonReader& where) {
  const uint32_t id = id_for(token.content);
  if (token.id != id) {
    where.fail("id " + std::to_string(token.id) + " for " + quoted(token.content),
               std::to_string(id) + ", the id that the vocabulary gives it");
  }
  add(token, where);
}

}  // namespace samebits
