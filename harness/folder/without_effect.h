#pragma once

#include <span>
#include <string_view>
#include <vector>

namespace samebits {

// The one list of what a model folder may say without an effect on anything that samebits computes.
// What is read stands in the code that reads it; what stands in neither place is refused.
struct WithoutEffect {
  std::string_view object;  // a file, "config.json", or a kind of object in it
  std::string_view keys;    // separated by blanks
  // Those without effect: a JSON array of them, or their types, such as "number|null" (of boolean,
  // integer, number, null, object, string); "": any value.
  std::string_view values;
  std::string_view reason;
};
std::span<const WithoutEffect> keys_without_effect();

// The row of the list that holds `key` of `object`; nullptr if there is none.
const WithoutEffect* find_without_effect(std::string_view object, std::string_view key);

// The parts of a text between separators; none of an empty one.
std::vector<std::string_view> parts_of(std::string_view text, char separator);

// The names that a row's `keys` holds.
std::vector<std::string_view> names_of(const WithoutEffect& row);

// Files and folders that Transformers would read, or may read, and samebits does not.
struct FileNotRead {
  std::string_view name;
  bool is_refused;  // its presence changes what the folder means
  std::string_view reason;
};
std::span<const FileNotRead> files_not_read();

}  // namespace samebits
