#include "harness/case/case_overrides.h"

#include <algorithm>
#include <filesystem>

#include "harness/base/error.h"
#include "harness/case/case_keys.h"
#include "harness/case/fields.h"

namespace samebits {
namespace {

std::vector<std::string> split_key(const std::string& key) {
  std::vector<std::string> parts;
  size_t begin = 0;
  while (true) {
    const size_t dot = key.find('.', begin);
    parts.push_back(key.substr(begin, dot - begin));
    if (dot == std::string::npos) return parts;
    begin = dot + 1;
  }
}

bool is_index(const std::string& text) {
  return !text.empty() && text.size() < 10 &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// The value as JSON, or the text itself: `--set numerics.dtype=float32` needs no quotes.
Json value_from_text(const std::string& text, const std::string& where) {
  const Json value = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!value.is_discarded()) return parse_json_line(text, where);  // again, strictly
  try {
    Json(text).dump();
  } catch (const Json::type_error&) {
    throw InputError("--set", "a value that is not UTF-8", "UTF-8");
  }
  return text;
}

// The first part must be a key of the case or an arm; an arm's overrides live under "arms".
void anchor(std::vector<std::string>& parts, const Json& json, const std::string& where) {
  const auto arms = json.find("arms");
  std::vector<std::string> names = case_keys();
  if (std::find(names.begin(), names.end(), parts[0]) != names.end()) return;
  if (arms != json.end() && arms->is_object()) {
    if (arms->contains(parts[0]) && parts.size() > 1) {
      parts.insert(parts.begin(), "arms");
      return;
    }
    for (const auto& [name, unused] : arms->items()) names.push_back(name + ".");
  }
  throw InputError(where, "unknown key " + quoted(parts[0]),
                   JsonReader::one_of_text(names, parts[0]));
}

// The keys at any depth whose values are paths.
struct PathKeys {
  std::vector<std::string> keys;
  template <class T, class Rule>
  void operator()(const fields::Field& field, T& value, const Rule&) {
    if constexpr (std::is_same_v<Rule, fields::Path>) keys.push_back(field.key);
    if constexpr (std::is_same_v<Rule, fields::Object>) fields::visit_fields(*this, value);
  }
  void operator()(const fields::Field&, SideSettings& side, const fields::Side& rule) {
    fields::visit_side(*this, side, rule);
  }
};

bool is_path_key(const std::string& key) {
  PathKeys paths;
  CaseArm arm;
  fields::visit_fields(paths, arm);
  return std::find(paths.keys.begin(), paths.keys.end(), key) != paths.keys.end();
}

// Relative to the working directory, within an object, too.
void resolve_paths(const std::string& key, Json& value) {
  if (value.is_object()) {
    for (auto& [inner, below] : value.items()) resolve_paths(inner, below);
  } else if (value.is_string() && is_path_key(key) &&
             !value.get_ref<const std::string&>().empty()) {
    value = std::filesystem::absolute(value.get<std::string>()).lexically_normal().string();
  }
}

void apply_one(Json& json, const std::string& text) {
  const std::string where = "--set " + shortened(text, 200);
  const size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0) {
    throw InputError(where, "no key and value", "key=value or ARM.key=value");
  }
  std::vector<std::string> parts = split_key(text.substr(0, equals));
  anchor(parts, json, where);

  Json* at = &json;
  for (const std::string& part : parts) {
    if (at->is_array()) {
      if (!is_index(part) || std::stoul(part) >= at->size()) {
        throw InputError(where, quoted(part),
                         "an index below " + std::to_string(at->size()) + " into an array");
      }
      at = &(*at)[std::stoul(part)];
      continue;
    }
    if (at->is_null()) *at = Json::object();
    if (!at->is_object()) {
      throw InputError(where, "a value that has no key " + quoted(part), "an object");
    }
    at = &(*at)[part];
  }

  *at = value_from_text(text.substr(equals + 1), where);
  resolve_paths(parts.back(), *at);
}

}  // namespace

void merge_json(Json& base, const Json& over) {
  if (!base.is_object() || !over.is_object()) {
    base = over;
    return;
  }
  for (const auto& [key, value] : over.items()) {
    if (base.contains(key)) {
      merge_json(base[key], value);
    } else {
      base[key] = value;
    }
  }
}

void apply_overrides(Json& json, const std::vector<std::string>& overrides) {
  if (!json.is_object()) return;  // reading the case will say so
  for (const std::string& text : overrides) apply_one(json, text);
}

}  // namespace samebits
