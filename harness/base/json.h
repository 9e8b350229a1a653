#pragma once

#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "harness/base/text.h"

namespace samebits {

// JSON whose objects keep the order of the file.
using Json = nlohmann::ordered_json;

// Strict JSON: one value, UTF-8, no duplicate keys, at most 64 levels deep. Throws InputError that
// names `file` and the key path, or line and column where the text is no JSON at all.
Json parse_json(std::string_view text, const std::string& file);
// The same of one line of a file, or of one flag: `where` names it, and a column is all that it
// adds.
Json parse_json_line(std::string_view line, const std::string& where);
Json read_json_file(const std::filesystem::path& file);

// Reads a JSON value into plain structs. Every member throws InputError in one line: file, key
// path, what was found, what was expected.
class JsonReader {
 public:
  // `value` must outlive the reader. `path` is the key path so far, "" at the top.
  JsonReader(const Json& value, std::string file, std::string path = "");

  // Asserts an object without keys other than these; an unknown key is shown with the nearest.
  const JsonReader& object(const std::vector<std::string>& known) const;

  // Members of an object.
  std::vector<std::string> keys() const;
  JsonReader required(const std::string& key) const;
  std::optional<JsonReader> optional(const std::string& key) const;

  // Elements of an array.
  std::vector<JsonReader> array(size_t min_size = 0) const;

  std::string string() const;
  std::string non_empty_string() const;
  // Not empty, and printable (text.h): what becomes a name in a report or on a terminal.
  std::string name() const;
  bool boolean() const;
  int64_t integer(int64_t min = std::numeric_limits<int64_t>::min(),
                  int64_t max = std::numeric_limits<int64_t>::max()) const;
  // A finite number. `bounds` says the range, exclusive ends as "(" and ")": "[0, 1)".
  double number() const;
  double number_at_least(double min) const;
  double number_above(double min) const;
  double number_in(double min, double max, bool min_included, bool max_included) const;

  // One of the names of an enumeration; otherwise an error that lists them.
  template <class Enum>
  Enum one_of(const std::vector<std::pair<std::string, Enum>>& names) const {
    const std::string found = string();
    std::vector<std::string> all;
    for (const auto& [name, value] : names) {
      if (name == found) return value;
      all.push_back(name);
    }
    fail(quoted(found), one_of_text(all, found));
  }

  [[noreturn]] void fail(const std::string& found, const std::string& expected) const;
  // What a reader of the error sees of this value: its JSON, shortened.
  std::string shown() const;

  const Json& value() const { return *value_; }
  std::string where() const;
  // The key path alone, "" at the top.
  const std::string& path() const { return path_; }

  // `one of "a", "b"`, and, where one is near to `found`, `(did you mean "a"?)`.
  static std::string one_of_text(const std::vector<std::string>& names, const std::string& found);

 private:
  void require(bool is_type, const std::string& expected) const;
  const Json* value_;
  std::string file_;
  std::string path_;
};

// The shortest decimal that reads back to the same float or double: "0.1", "1e-05", "inf", "nan".
std::string shortest_text(float value);
std::string shortest_text(double value);

}  // namespace samebits
