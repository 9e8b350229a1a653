#include "harness/base/json_difference.h"

#include <algorithm>
#include <utility>

namespace samebits {
namespace {

std::string text_of(const Json& json) { return JsonReader(json, "").shown(); }

std::string joined(const std::string& path, const std::string& key) {
  return path.empty() ? key : path + "." + key;
}

// Of two lists that are too long to be shown, what stands between the elements with which both
// begin and end: two commands differ in a flag behind a long path.
std::pair<std::string, std::string> texts_of_lists(const Json& first, const Json& second) {
  const size_t least = std::min(first.size(), second.size());
  size_t head = 0;
  while (head < least && first[head] == second[head]) ++head;
  size_t tail = 0;
  while (tail < least - head && first[first.size() - tail - 1] == second[second.size() - tail - 1])
    ++tail;
  const auto text = [&](const Json& list) {
    const Json between(std::vector<Json>(list.begin() + static_cast<std::ptrdiff_t>(head),
                                         list.end() - static_cast<std::ptrdiff_t>(tail)));
    std::string shown = between.empty() ? "[]" : text_of(between);
    if (head > 0) shown.insert(1, between.empty() ? "..." : "...,");
    return shown;
  };
  return {text(first), text(second)};
}

void add_differences(const Json& first, const Json& second, const std::string& path,
                     std::vector<JsonDifference>& found) {
  if (first == second) return;
  if (!first.is_object() || !second.is_object()) {
    std::pair<std::string, std::string> texts = {text_of(first), text_of(second)};
    const bool is_cut = texts.first.ends_with("...") || texts.second.ends_with("...");
    if (first.is_array() && second.is_array() && is_cut) texts = texts_of_lists(first, second);
    found.push_back({path, texts.first, texts.second});
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
