#include "harness/base/json_difference.h"

namespace samebits {
namespace {

std::string text_of(const Json& json) { return JsonReader(json, "").shown(); }

std::string joined(const std::string& path, const std::string& key) {
  return path.empty() ? key : path + "." + key;
}

void add_differences(const Json& first, const Json& second, const std::string& path,
                     std::vector<JsonDifference>& found) {
  if (first == second) return;
  if (!first.is_object() || !second.is_object()) {
    found.push_back({path, text_of(first), text_of(second)});
    return;
  }
  for (const auto& [key, value] : first.items()) {
    const std::string inner = joined(path, key);
    if (second.contains(key)) {
      add_differences(value, second.at(key), inner, found);
    } else {
      found.push_back({inner, text_of(value), "nothing"});
    }
  }
  for (const auto& [key, value] : second.items()) {
    if (!first.contains(key)) found.push_back({joined(path, key), "nothing", text_of(value)});
  }
}

}  // namespace

std::vector<JsonDifference> differences(const Json& first, const Json& second) {
  std::vector<JsonDifference> found;
  add_differences(first, second, "", found);
  return found;
}

std::optional<JsonDifference> first_difference(const Json& first, const Json& second) {
  const std::vector<JsonDifference> all = differences(first, second);
  if (all.empty()) return std::nullopt;
  return all.front();
}

}  // namespace samebits
