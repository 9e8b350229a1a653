#pragma once

#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "harness/base/json.h"
#include "harness/tokenizer/added_tokens.h"

namespace samebits {

// A token, and the place that says it.
using SaidToken = std::pair<AddedToken, JsonReader>;

// The tokens that files name beside tokenizer.json: by a name ("eos_token"), by a name of the
// model's own ("image_token"), or in a list. Source of the order and of what overrides what:
// transformers, tokenization_utils_base.py.
class TokenNames {
 public:
  // tokenizer_config.json and special_tokens_map.json. The second overrides the first, but for the
  // older name of the list, which does not count beside a list. Every key must be the name of a
  // token, or be read, or stand without effect; else InputError.
  void read_config(const JsonReader& root);
  void read_special_tokens_map(const JsonReader& root);

  // Gives "<|endoftext|>" a name that no file says; `where` stands for the place.
  void set_default(const char* name, const JsonReader& where);

  // The content of eos_token.
  std::optional<std::string> eos() const;

  // All of them in the order in which Transformers adds them.
  std::vector<SaidToken> in_order() const;

 private:
  void read(const JsonReader& root);
  void set(const std::string& name, const JsonReader& value);
  void set_of_model(const std::string& name, const JsonReader& value);
  void read_list(const JsonReader& value);

  std::set<std::string> said_;
  std::map<std::string, SaidToken> named_;
  std::vector<std::pair<std::string, SaidToken>> of_model_;
  std::vector<SaidToken> listed_;
};

// A special token without flags.
AddedToken special_token(const std::string& content);

// One entry of `added_tokens` or `added_tokens_decoder`, without its id; an absent flag has the
// default of Transformers' AddedToken.
AddedToken read_added_token(const JsonReader& reader);

}  // namespace samebits
