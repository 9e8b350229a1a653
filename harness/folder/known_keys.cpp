#include "harness/folder/known_keys.h"

#include <algorithm>

#include "harness/folder/without_effect.h"

namespace samebits {
namespace {

const WithoutEffect* row_of(std::initializer_list<std::string_view> objects, std::string_view key) {
  for (const std::string_view object : objects) {
    if (const WithoutEffect* row = find_without_effect(object, key)) return row;
  }
  return nullptr;
}

void check_value(const JsonReader& value, const WithoutEffect& row) {
  if (row.values.empty() || value.value().is_null()) return;
  std::string expected = "nothing or null";
  for (const Json& each : Json::parse(row.values)) {
    if (value.value() == each) return;
    expected += " or " + each.dump();
  }
  value.fail(value.shown(), expected + " (" + std::string(row.reason) + ")");
}

}  // namespace

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
