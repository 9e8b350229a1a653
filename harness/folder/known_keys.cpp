#include "harness/folder/known_keys.h"

#include <algorithm>
#include <string>
#include <vector>

namespace samebits {
namespace {

const WithoutEffect* row_of(std::initializer_list<std::string_view> objects, std::string_view key) {
  for (const std::string_view object : objects) {
    if (const WithoutEffect* row = find_without_effect(object, key)) return row;
  }
  return nullptr;
}

bool has_type(const Json& value, std::string_view type) {
  if (type == "boolean") return value.is_boolean();
  if (type == "integer") return value.is_number_integer();
  if (type == "number") return value.is_number();
  if (type == "null") return value.is_null();
  if (type == "object") return value.is_object();
  return value.is_string();
}

bool is_list(const WithoutEffect& row) { return row.values.starts_with('['); }

std::vector<std::string_view> types_of(const WithoutEffect& row) {
  std::vector<std::string_view> types;
  std::string_view rest = row.values;
  while (!rest.empty()) {
    const size_t bar = std::min(rest.find('|'), rest.size());
    types.push_back(rest.substr(0, bar));
    rest.remove_prefix(std::min(bar + 1, rest.size()));
  }
  return types;
}

void check_value(const JsonReader& value, const WithoutEffect& row) {
  if (is_without_effect(row, value.value())) return;
  std::string expected = "nothing";
  if (is_list(row)) {
    for (const Json& each : Json::parse(row.values)) expected += " or " + each.dump();
  } else {
    for (const std::string_view type : types_of(row)) {
      expected += type == "null"
                      ? " or null"
                      : " or " + std::string(type == "integer" || type == "object" ? "an " : "a ") +
                            std::string(type);
    }
  }
  value.fail(value.shown(), expected + " (" + std::string(row.reason) + ")");
}

}  // namespace

bool is_without_effect(const WithoutEffect& row, const Json& value) {
  if (row.values.empty()) return true;
  if (is_list(row)) {
    const Json values = Json::parse(row.values);
    return std::find(values.begin(), values.end(), value) != values.end();
  }
  const std::vector<std::string_view> types = types_of(row);
  return std::any_of(types.begin(), types.end(),
                     [&](std::string_view type) { return has_type(value, type); });
}

void check_keys(const JsonReader& object, std::initializer_list<std::string_view> objects,
                std::initializer_list<std::string_view> used) {
  for (const std::string& key : object.keys()) {
    if (std::find(used.begin(), used.end(), key) != used.end()) continue;
    const JsonReader value = object.required(key);
    if (const WithoutEffect* row = row_of(objects, key)) {
      check_value(value, *row);
      continue;
    }
    value.fail("a key that samebits does not know",
               "a key that it reads, or that it knows to have no effect");
  }
}

}  // namespace samebits
