#include "harness/tokenizer/named_tokens.h"

#include <algorithm>
#include <map>

#include "harness/base/text.h"
#include "harness/tokenizer/token_names.h"

namespace samebits {
namespace {

// `added_tokens_decoder`: an object of tokens by their ids.
void add_decoder(AddedTokenTable& table, const JsonReader& entries,
                 TokenizerClass tokenizer_class) {
  std::map<uint32_t, SaidToken> by_id;
  for (const std::string& key : entries.keys()) {
    const bool is_number =
        !key.empty() && key.size() < 10 &&
        std::all_of(key.begin(), key.end(), [](char c) { return c >= '0' && c <= '9'; });
    if (!is_number) entries.fail("key " + quoted(key), "a token id");
    const JsonReader entry = entries.required(key);
    AddedToken token = read_added_token(entry);
    token.id = static_cast<uint32_t>(std::stoul(key));
    by_id.emplace(token.id, SaidToken(token, entry));
  }
  if (tokenizer_class == TokenizerClass::kQwen2) {
    for (const AddedToken& token : table.tokens()) {
      const auto entry = by_id.find(token.id);
      if (entry != by_id.end() && entry->second.first.content == token.content) continue;
      entries.fail("no entry " + std::to_string(token.id) + " for " + quoted(token.content),
                   "every added token of tokenizer.json, since Transformers takes those from here");
    }
  }
  if (tokenizer_class == TokenizerClass::kQwen2) table.clear();
  for (const auto& [id, entry] : by_id) {
    const AddedToken* known = table.find(entry.first.content);
    if (known != nullptr && known->id != id) {
      entry.second.fail(quoted(known->content),
                        "the id that tokenizer.json gives it, " + std::to_string(known->id));
    }
    table.add_with_id(entry.first, entry.second);
  }
}

// added_tokens.json, the older form: ids by the tokens' texts.
void add_older(AddedTokenTable& table, const JsonReader& file,
               const std::vector<SaidToken>& named) {
  std::map<uint32_t, SaidToken> by_id;
  for (const std::string& content : file.keys()) {
    const JsonReader id = file.required(content);
    AddedToken token;
    token.content = content;
    token.id = static_cast<uint32_t>(id.integer(0, kLargestId));
    token.special = std::any_of(named.begin(), named.end(),
                                [&](const auto& each) { return each.first.content == content; });
    token.normalized = !token.special;
    if (content.empty() || !by_id.emplace(token.id, SaidToken(token, id)).second) {
      id.fail(id.shown(), "an id of its own, for a token that is not empty");
    }
  }
  for (const auto& [id, entry] : by_id) {
    const AddedToken* known = table.find(entry.first.content);
    if (known == nullptr) {
      table.add_with_id(entry.first, entry.second);
    } else if (known->id != id) {
      entry.second.fail(entry.second.shown(),
                        "the id that tokenizer.json gives it, " + std::to_string(known->id));
    }
  }
}

}  // namespace

std::optional<std::string> add_named_tokens(AddedTokenTable& table, const TokenFiles& files,
                                            TokenizerClass tokenizer_class) {
  TokenNames names;
  std::optional<JsonReader> decoder;
  if (files.config != nullptr) {
    names.read_config(*files.config);
    decoder = files.config->optional("added_tokens_decoder");
  }
  if (!decoder && files.special_tokens_map != nullptr) {
    names.read_special_tokens_map(*files.special_tokens_map);
  }
  const bool is_qwen2 = tokenizer_class == TokenizerClass::kQwen2;
  if (is_qwen2) {
    for (const char* key : {"eos_token", "unk_token", "pad_token"}) {
      names.set_default(key, *files.config);
    }
  }
  const std::vector<SaidToken> named = names.in_order();
  if (decoder) add_decoder(table, *decoder, tokenizer_class);
  if (!decoder && files.added_tokens != nullptr) add_older(table, *files.added_tokens, named);
  for (const auto& [token, where] : named) {
    // The class of Qwen2 adds every name once more, as a plain special token.
    if (is_qwen2) {
      table.add(special_token(token.content), where);
    } else if (table.find(token.content) == nullptr) {
      table.add(token, where);
    }
  }
  return names.eos();
}

}  // namespace samebits
