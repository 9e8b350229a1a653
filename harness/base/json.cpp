#include "harness/base/json.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <set>

#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/base/lfs_pointer.h"
#include "harness/base/nearest.h"

namespace samebits {
namespace {

constexpr size_t kMaxDepth = 64;
constexpr size_t kMaxShown = 60;

std::string join_path(const std::string& path, const std::string& key) {
  const std::string shown = quoted(key);  // escapes what would break the line
  const std::string bare = shown.substr(1, shown.find_last_of('"') - 1);
  return path.empty() ? bare : path + "." + bare;
}

// Builds the value and refuses what nlohmann's own builder lets pass: duplicate keys (it keeps the
// last) and nesting that would exhaust the stack of a recursive reader.
class StrictBuilder {
 public:
  using number_integer_t = Json::number_integer_t;
  using number_unsigned_t = Json::number_unsigned_t;
  using number_float_t = Json::number_float_t;
  using string_t = Json::string_t;
  using binary_t = Json::binary_t;

  StrictBuilder(std::string_view text, std::string file, bool is_line)
      : text_(text), file_(std::move(file)), is_line_(is_line) {}

  bool null() { return add(nullptr); }
  bool boolean(bool value) { return add(value); }
  bool number_integer(number_integer_t value) { return add(value); }
  bool number_unsigned(number_unsigned_t value) { return add(value); }
  bool number_float(number_float_t value, const string_t&) { return add(value); }
  bool string(string_t& value) { return add(std::move(value)); }
  bool binary(binary_t&) { return false; }
  bool start_object(size_t) { return open(Json::object()); }
  bool start_array(size_t) { return open(Json::array()); }
  bool end_object() { return close(); }
  bool end_array() { return close(); }

  bool key(string_t& name) {
    Level& level = levels_.back();
    level.key = name;
    if (!level.seen.insert(name).second) {
      throw InputError(file_ + ": " + path(), "the key a second time", "every key once");
    }
    return true;
  }

  bool parse_error(size_t position, const std::string&, const nlohmann::json::exception& error) {
    const size_t at = std::min(position == 0 ? 0 : position - 1, text_.size());
    size_t begin = at;
    while (begin > 0 && at < text_.size() && is_word(text_[at]) && is_word(text_[begin - 1]))
      --begin;
    const std::string where = file_ + ": " + place(begin);
    const std::string_view token = text_.substr(begin, at - begin + 1);
    if (error.id == 406) {  // out of range: the text is JSON, the number is none of ours
      throw InputError(where, shortened(token, kMaxShown), "a number that a double can hold");
    }
    for (const std::string_view name : {"NaN", "Infinity"}) {
      if (!text_.substr(at).starts_with(name)) continue;
      throw InputError(where, std::string(name) + ", which Python writes", "valid JSON");
    }
    if (std::string_view(error.what()).find("ill-formed UTF-8") != std::string_view::npos) {
      // A sequence that breaks off is noticed at the character behind it.
      const bool is_behind = at > 0 && at < text_.size() && static_cast<uint8_t>(text_[at]) < 0x80;
      throw InputError(file_ + ": " + place(is_behind ? at - 1 : at), "bytes that are no UTF-8",
                       "UTF-8");
    }
    const bool ended = text_.find_first_not_of(" \t\r\n", at) == std::string_view::npos;
    throw InputError(where, ended ? "the end of the text" : quoted(token), "valid JSON");
  }

  Json take() { return std::move(root_); }

 private:
  struct Level {
    Json value;
    std::string key;
    std::set<std::string> seen;
  };

  // Of what numbers and names are made.
  static bool is_word(char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.' || c == '+' || c == '-';
  }

  // Of a byte, as an editor counts: from 1, columns in characters.
  std::string place(size_t at) const {
    const std::string_view before = text_.substr(0, at);
    const auto lines = std::count(before.begin(), before.end(), '\n');
    const size_t begin = before.rfind('\n') + 1;  // npos + 1 is 0
    const auto characters = std::count_if(before.begin() + begin, before.end(),
                                          [](char c) { return (c & 0xc0) != 0x80; });
    const std::string column = "column " + std::to_string(characters + 1);
    return is_line_ ? column : "line " + std::to_string(lines + 1) + ", " + column;
  }

  std::string path() const {
    std::string joined;
    for (const Level& level : levels_) {
      joined = join_path(joined,
                         level.value.is_array() ? std::to_string(level.value.size()) : level.key);
    }
    return joined;
  }

  bool add(Json value) {
    if (levels_.empty()) {
      root_ = std::move(value);
    } else if (Level& level = levels_.back(); level.value.is_array()) {
      level.value.push_back(std::move(value));
    } else {
      // Appends without ordered_map's search for the key, which `seen` has made already.
      auto& members = level.value.get_ref<Json::object_t&>();
      static_cast<Json::object_t::Container&>(members).emplace_back(level.key, std::move(value));
    }
    return true;
  }
  bool open(Json container) {
    if (levels_.size() == kMaxDepth) {
      throw InputError(file_ + ": " + path(), "more than 64 levels of nesting", "at most 64");
    }
    levels_.push_back({std::move(container), {}, {}});
    return true;
  }
  bool close() {
    Json value = std::move(levels_.back().value);
    levels_.pop_back();
    return add(std::move(value));
  }

  std::string_view text_;
  std::string file_;
  bool is_line_;  // whose place in its file stands in `file_`
  std::vector<Level> levels_;
  Json root_;
};

template <class Real>
std::string shortest(Real value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  char buffer[64];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, value).ptr;
  return std::string(buffer, end);
}

// The parser takes a NUL for the end, and would pass over what follows it.
void refuse_nul(std::string_view text, const std::string& file) {
  const size_t at = text.find('\0');
  if (at == std::string_view::npos) return;
  throw InputError(file + ": byte " + std::to_string(at), "a NUL", "JSON text");
}

Json parse(std::string_view text, const std::string& file, bool is_line) {
  refuse_nul(text, file);
  StrictBuilder builder(text, file, is_line);
  Json::sax_parse(text.begin(), text.end(), &builder);
  return builder.take();
}

}  // namespace

Json parse_json(std::string_view text, const std::string& file) {
  refuse_lfs_pointer(text, file);
  return parse(text, file, /*is_line=*/false);
}

Json parse_json_line(std::string_view line, const std::string& where) {
  return parse(line, where, /*is_line=*/true);
}

Json read_json_file(const std::filesystem::path& file) {
  return parse_json(read_text_file(file.string()), file.string());
}

JsonReader::JsonReader(const Json& value, std::string file, std::string path)
    : value_(&value), file_(std::move(file)), path_(std::move(path)) {}

std::string JsonReader::where() const { return path_.empty() ? file_ : file_ + ": " + path_; }

std::string JsonReader::shown() const {
  std::string text = value_->dump(-1, ' ', /*ensure_ascii=*/true, Json::error_handler_t::replace);
  if (text.size() > kMaxShown) text = text.substr(0, kMaxShown) + "...";
  return printable(text);  // DEL, which JSON lets pass
}

std::string JsonReader::one_of_text(const std::vector<std::string>& names,
                                    const std::string& found) {
  std::string text = names.size() == 1 ? "" : "one of ";
  for (size_t i = 0; i < names.size(); ++i) text += (i == 0 ? "" : ", ") + quoted(names[i]);
  const auto near = nearest_word(found, names);
  if (near && names.size() > 1) text += " (did you mean " + quoted(*near) + "?)";
  return text;
}

void JsonReader::fail(const std::string& found, const std::string& expected) const {
  throw InputError(where(), found, expected);
}

void JsonReader::require(bool is_type, const std::string& expected) const {
  if (!is_type) fail(shown(), expected);
}

const JsonReader& JsonReader::object(const std::vector<std::string>& known) const {
  require(value_->is_object(), "an object");
  for (const auto& [key, unused] : value_->items()) {
    if (std::find(known.begin(), known.end(), key) == known.end()) {
      fail("unknown key " + quoted(key), one_of_text(known, key));
    }
  }
  return *this;
}

std::vector<std::string> JsonReader::keys() const {
  require(value_->is_object(), "an object");
  std::vector<std::string> names;
  for (const auto& [key, unused] : value_->items()) names.push_back(key);
  return names;
}

JsonReader JsonReader::required(const std::string& key) const {
  require(value_->is_object(), "an object");
  const auto member = value_->find(key);
  if (member == value_->end()) fail("no key " + quoted(key), "it to be there");
  return JsonReader(*member, file_, join_path(path_, key));
}

std::optional<JsonReader> JsonReader::optional(const std::string& key) const {
  require(value_->is_object(), "an object");
  const auto member = value_->find(key);
  if (member == value_->end()) return std::nullopt;
  return JsonReader(*member, file_, join_path(path_, key));
}

std::vector<JsonReader> JsonReader::array(size_t min_size) const {
  require(value_->is_array(), "an array");
  if (value_->size() < min_size) {
    fail("an array of " + std::to_string(value_->size()),
         "at least " + std::to_string(min_size) + " elements");
  }
  std::vector<JsonReader> elements;
  for (size_t i = 0; i < value_->size(); ++i) {
    elements.emplace_back((*value_)[i], file_, join_path(path_, std::to_string(i)));
  }
  return elements;
}

std::string JsonReader::string() const {
  require(value_->is_string(), "a string");
  return value_->get<std::string>();
}

std::string JsonReader::non_empty_string() const {
  std::string text = string();
  if (text.empty()) fail("\"\"", "a string that is not empty");
  return text;
}

std::string JsonReader::name() const {
  std::string text = non_empty_string();
  if (printable(text) != text) fail(quoted(text), "a name without control characters");
  return text;
}

bool JsonReader::boolean() const {
  require(value_->is_boolean(), "true or false");
  return value_->get<bool>();
}

int64_t JsonReader::integer(int64_t min, int64_t max) const {
  std::string expected = "an integer";
  const bool below = max == std::numeric_limits<int64_t>::max();
  if (min != std::numeric_limits<int64_t>::min()) {
    expected += below ? " of at least " + std::to_string(min)
                      : " from " + std::to_string(min) + " to " + std::to_string(max);
  }
  require(value_->is_number_integer(), expected);
  const bool too_large =
      value_->is_number_unsigned() &&
      value_->get<uint64_t>() > static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
  require(!too_large, expected);
  const int64_t found = value_->get<int64_t>();
  require(found >= min && found <= max, expected);
  return found;
}

double JsonReader::number() const {
  require(value_->is_number(), "a number");
  return value_->get<double>();
}

double JsonReader::number_at_least(double min) const {
  const double found = number();
  require(found >= min, "a number of at least " + shortest_text(min));
  return found;
}

double JsonReader::number_above(double min) const {
  const double found = number();
  require(found > min, "a number above " + shortest_text(min));
  return found;
}

double JsonReader::number_in(double min, double max, bool min_included, bool max_included) const {
  const double found = number();
  const bool inside =
      (min_included ? found >= min : found > min) && (max_included ? found <= max : found < max);
  require(inside, std::string("a number in ") + (min_included ? "[" : "(") + shortest_text(min) +
                      ", " + shortest_text(max) + (max_included ? "]" : ")"));
  return found;
}

std::string shortest_text(float value) { return shortest(value); }
std::string shortest_text(double value) { return shortest(value); }

}  // namespace samebits
