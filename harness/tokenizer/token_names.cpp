#include "harness/tokenizer/token_names.h"

#include <algorithm>

#include "harness/folder/known_keys.h"
#include "harness/folder/without_effect.h"

namespace samebits {
namespace {

// In the order in which Transformers adds them.
constexpr const char* kNames[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                  "pad_token", "cls_token", "mask_token"};
constexpr const char* kLists[] = {"extra_special_tokens", "additional_special_tokens",
                                  "model_specific_special_tokens"};

bool is_one_of(std::span<const char* const> names, const std::string& key) {
  return std::find(names.begin(), names.end(), key) != names.end();
}

bool is_of_model(const std::string& key, const JsonReader& value) {
  return key.ends_with("_token") && value.value().is_string();
}

// A token by its text, or an object with flags; of a name, so it is special.
AddedToken read_name(const JsonReader& value) {
  if (!value.value().is_object()) return special_token(value.non_empty_string());
  AddedToken token = read_added_token(value);
  token.special = true;
  return token;
}

// In tokenizer_config.json a token with flags must say that it is one, for Transformers.
void check_type(const JsonReader& value) {
  if (!value.value().is_object()) return;
  const auto type = value.optional("__type");
  if (!type || type->value() != "AddedToken") {
    value.fail(value.shown(), "a token's text, or an object of \"__type\": \"AddedToken\"");
  }
}

void check_names(const JsonReader& root, std::string_view object,
                 std::initializer_list<std::string_view> used) {
  for (const std::string& key : root.keys()) {
    const JsonReader value = root.required(key);
    const bool is_listed = find_without_effect(object, key) != nullptr;
    if (is_one_of(kNames, key) || is_one_of(kLists, key)) continue;
    if (is_of_model(key, value) && !is_listed) continue;
    const Json one = {{key, value.value()}};
    check_keys(JsonReader(one, root.where()), {object}, used);
  }
  const auto is_given = [](const std::optional<JsonReader>& list) {
    return list && !list->value().empty();
  };
  const auto older = root.optional("additional_special_tokens");
  if (is_given(older) && is_given(root.optional("extra_special_tokens"))) {
    older->fail(older->shown(), "nothing beside extra_special_tokens, its newer name");
  }
}

}  // namespace

void TokenNames::read_config(const JsonReader& root) {
  check_names(root, "tokenizer_config.json",
              {"tokenizer_class", "add_prefix_space", "added_tokens_decoder"});
  for (const char* name : kNames) {
    if (const auto value = root.optional(name)) check_type(*value);
  }
  read(root);
}

void TokenNames::read_special_tokens_map(const JsonReader& root) {
  check_names(root, "special_tokens_map.json", {});
  read(root);
}

void TokenNames::read(const JsonReader& root) {
  const bool has_list = !listed_.empty();
  for (const std::string& key : root.keys()) {
    const JsonReader value = root.required(key);
    if (key == "additional_special_tokens" && has_list) continue;
    if (is_one_of(kNames, key)) {
      set(key, value);
    } else if (is_one_of(kLists, key)) {
      read_list(value);
    } else if (is_of_model(key, value)) {
      set_of_model(key, value);
    }
  }
}

void TokenNames::set(const std::string& name, const JsonReader& value) {
  said_.insert(name);
  named_.erase(name);
  if (!value.value().is_null()) named_.emplace(name, SaidToken(read_name(value), value));
}

void TokenNames::set_of_model(const std::string& name, const JsonReader& value) {
  std::erase_if(of_model_, [&](const auto& entry) { return entry.first == name; });
  of_model_.emplace_back(name, SaidToken(read_name(value), value));
}

void TokenNames::read_list(const JsonReader& value) {
  if (value.value().is_null()) return;
  if (value.value().is_object()) {
    for (const std::string& name : value.keys()) set_of_model(name, value.required(name));
    return;
  }
  for (const JsonReader& token : value.array()) {
    const bool has_flags = token.value().is_object();
    listed_.emplace_back(has_flags ? read_added_token(token) : read_name(token), token);
  }
}

void TokenNames::set_default(const char* name, const JsonReader& where) {
  if (!said_.contains(name)) named_.emplace(name, SaidToken(special_token("<|endoftext|>"), where));
}

std::optional<std::string> TokenNames::eos() const {
  const auto found = named_.find("eos_token");
  if (found == named_.end()) return std::nullopt;
  return found->second.first.content;
}

std::vector<SaidToken> TokenNames::in_order() const {
  std::vector<SaidToken> tokens;
  for (const char* name : kNames) {
    if (const auto found = named_.find(name); found != named_.end()) {
      tokens.push_back(found->second);
    }
  }
  for (const auto& [name, token] : of_model_) tokens.push_back(token);
  tokens.insert(tokens.end(), listed_.begin(), listed_.end());
  return tokens;
}

AddedToken special_token(const std::string& content) {
  AddedToken token;
  token.content = content;
  token.special = true;
  return token;
}

AddedToken read_added_token(const JsonReader& reader) {
  reader.object(
      {"id", "content", "single_word", "lstrip", "rstrip", "normalized", "special", "__type"});
  AddedToken token;
  token.content = reader.required("content").non_empty_string();
  const auto flag = [&](const char* key, bool absent) {
    const auto value = reader.optional(key);
    return value ? value->boolean() : absent;
  };
  token.single_word = flag("single_word", false);
  token.lstrip = flag("lstrip", false);
  token.rstrip = flag("rstrip", false);
  token.special = flag("special", false);
  token.normalized = flag("normalized", !token.special);
  return token;
}

}  // namespace samebits
