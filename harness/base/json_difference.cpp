#include "harness/base/json_difference.h"

namespace samebits {
namespace {

std::string text_of(const Json& json) { return JsonReader(json, "").shown(); }

std::string joined(const std::string& path, const std::string& key) {
  return path.empty() ? key : path + "." + key;
}

std::optional<JsonDifference> difference_at(const Json& first, const Json& second,
                                            const std::string& path) {
  if (first == second) return std::nullopt;
  if (!first.is_object() || !second.is_object()) {
    return JsonDifference{path, text_of(first), text_of(second)};
  }
  for (const auto& [key, value] : first.items()) {
    const std::string inner = joined(path, key);
    if (!second.contains(key)) return JsonDifference{inner, text_of(value), "nothing"};
    if (auto found = difference_at(value, second.at(key), inner)) return found;
  }
  for (const auto& [key, value] : second.items()) {
    if (!first.contains(key)) return JsonDifference{joined(path, key), "nothing", text_of(value)};
  }
  return std::nullopt;  // the same keys and values, in another order
}

}  // namespace

std::optional<JsonDifference> first_difference(const Json& first, const Json& second) {
  return difference_at(first, second, "");
}

}  // namespace samebits
