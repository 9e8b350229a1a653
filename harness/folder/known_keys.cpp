#include "harness/folder/known_keys.h"

#include <algorithm>
#include <iterator>
#include <stdexcept>
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

// A type that a row may name, as a person reads it.
struct Type {
  std::string_view name;
  std::string_view text;
  bool (Json::*holds)() const noexcept;
};

constexpr Type kTypes[] = {{"boolean", "a boolean", &Json::is_boolean},
                           {"integer", "an integer", &Json::is_number_integer},
                           {"number", "a number", &Json::is_number},
                           {"null", "null", &Json::is_null},
                           {"object", "an object", &Json::is_object},
                           {"string", "a string", &Json::is_string}};

bool is_list(const WithoutEffect& row) { return row.values.starts_with('['); }

std::vector<Type> types_of(const WithoutEffect& row) {
  std::vector<Type> types;
  for (const std::string_view name : parts_of(row.values, '|')) {
    const auto* type = std::find_if(std::begin(kTypes), std::end(kTypes),
                                    [&](const Type& each) { return each.name == name; });
    if (type == std::end(kTypes)) throw std::logic_error("no type " + std::string(name));
    types.push_back(*type);
  }
  return types;
}

void check_value(const JsonReader& value, const WithoutEffect& row) {
  if (is_without_effect(row, value.value())) return;
  std::string expected = "nothing";
  if (is_list(row)) {
    for (const Json& each : Json::parse(row.values)) expected += " or " + each.dump();
  } else {
    for (const Type& type : types_of(row)) expected.append(" or ").append(type.text);
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
  const std::vector<Type> types = types_of(row);
  return std::any_of(types.begin(), types.end(),
                     [&](const Type& type) { return (value.*type.holds)(); });
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
