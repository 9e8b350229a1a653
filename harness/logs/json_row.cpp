#include "harness/logs/json_row.h"

#include <algorithm>
#include <cmath>

#include "harness/base/error.h"
#include "harness/base/json.h"

namespace samebits {
namespace {

constexpr size_t kMaxDepth = 64;

// What the parser gives back as a float with its text, where -0 is the integer 0.
constexpr std::string_view kNegativeZero = "-0e0";

// Whether the integer -0 stands at `at`, and no longer number's beginning, and no exponent.
bool is_negative_zero(std::string_view text, size_t at) {
  const auto is_one_of = [&](size_t i, std::string_view set) {
    return i < text.size() && set.find(text[i]) != std::string_view::npos;
  };
  return text.substr(at).starts_with("-0") && !is_one_of(at + 2, ".eE0123456789") &&
         (at == 0 || !is_one_of(at - 1, "eE"));
}

bool has_negative_zero(std::string_view text) {
  for (size_t at = text.find("-0"); at != std::string_view::npos; at = text.find("-0", at + 1)) {
    if (is_negative_zero(text, at)) return true;
  }
  return false;
}

// Python's three words as texts, and -0 as a float; inside of texts they stay.
std::string with_readable_numbers(std::string_view text) {
  std::string readable;
  bool is_in_text = false;
  for (size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    if (is_in_text && c == '\\' && at + 1 < text.size()) {
      readable += text.substr(at++, 2);
      continue;
    }
    if (c == '"') is_in_text = !is_in_text;
    std::string_view word;
    for (const std::string_view each : {"NaN", "Infinity", "-Infinity"}) {
      if (!is_in_text && text.substr(at).starts_with(each)) word = each;
    }
    if (!is_in_text && is_negative_zero(text, at)) {
      readable += kNegativeZero;
      ++at;
      continue;
    }
    if (word.empty()) {
      readable += c;
      continue;
    }
    readable += '"' + std::string(word) + '"';
    at += word.size() - 1;
  }
  return readable;
}

class LeafCollector : public nlohmann::json_sax<Json> {
 public:
  explicit LeafCollector(std::vector<JsonLeaf>& leaves) : leaves_(leaves) {}

  bool null() override { return step_over(); }
  bool boolean(bool) override { return add({}); }
  bool number_integer(number_integer_t value) override {
    return add_number(number_from_text(std::to_string(value)));
  }
  bool number_unsigned(number_unsigned_t value) override {
    return add_number(number_from_text(std::to_string(value)));
  }
  bool number_float(number_float_t, const string_t& text) override {
    return add_number(number_from_text(text == kNegativeZero ? "-0" : text));
  }
  bool string(string_t& text) override {
    const bool may_be = text.size() <= 9;  // "-Infinity"
    const auto number = may_be ? number_from_text(text) : std::nullopt;
    JsonLeaf leaf;
    leaf.text = text;
    if (number && !std::isfinite(number->value)) {
      leaf.kind = JsonLeaf::Kind::kNumber;
      leaf.number = *number;
    }
    return add(std::move(leaf));
  }
  bool binary(binary_t&) override { return false; }
  bool start_object(size_t) override { return open(-1); }
  bool start_array(size_t) override { return open(0); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool key(string_t& name) override {
    path_.resize(levels_.back().path);
    if (!path_.empty()) path_ += '.';
    path_ += name;
    return true;
  }
  bool parse_error(size_t, const std::string&, const nlohmann::json::exception&) override {
    return false;
  }

  bool is_too_deep = false;

 private:
  struct Level {
    size_t path;    // how long the path of the container is
    int64_t index;  // of the next element; -1 in an object
  };

  void enter_element() {
    if (levels_.empty() || levels_.back().index < 0) return;
    path_.resize(levels_.back().path);
    path_ += '[' + std::to_string(levels_.back().index++) + ']';
  }
  bool step_over() {
    enter_element();
    return true;
  }
  bool add(JsonLeaf leaf) {
    enter_element();
    leaf.path = path_;
    leaves_.push_back(std::move(leaf));
    return true;
  }
  bool add_number(const std::optional<LogNumber>& number) {
    JsonLeaf leaf;
    leaf.kind = number ? JsonLeaf::Kind::kNumber : JsonLeaf::Kind::kHugeNumber;
    if (number) leaf.number = *number;
    return add(std::move(leaf));
  }
  bool open(int64_t index) {
    enter_element();
    is_too_deep = levels_.size() == kMaxDepth;
    levels_.push_back({path_.size(), index});
    return !is_too_deep;
  }
  bool close() {
    path_.resize(levels_.back().path);
    levels_.pop_back();
    return true;
  }

  std::vector<JsonLeaf>& leaves_;
  std::string path_;
  std::vector<Level> levels_;
};

bool has_nonfinite_word(std::string_view text) {
  return text.find("NaN") != std::string_view::npos ||
         text.find("Infinity") != std::string_view::npos;
}

const JsonLeaf* leaf_at(const std::vector<JsonLeaf>& leaves, const std::string& path) {
  const auto found = std::find_if(leaves.begin(), leaves.end(),
                                  [&](const JsonLeaf& each) { return each.path == path; });
  return found == leaves.end() ? nullptr : &*found;
}

std::string shown(const JsonLeaf& leaf) {
  return leaf.kind == JsonLeaf::Kind::kNumber ? shortest_text(leaf.number.value) : "no number";
}

}  // namespace

std::vector<JsonLeaf> json_leaves(std::string_view text, const std::string& where) {
  std::string changed;
  if (has_nonfinite_word(text) || has_negative_zero(text)) {
    changed = with_readable_numbers(text);
    text = changed;
  }
  std::vector<JsonLeaf> leaves;
  LeafCollector collector(leaves);
  if (Json::sax_parse(text.begin(), text.end(), &collector)) return leaves;
  if (collector.is_too_deep) {
    throw InputError(where, "more than 64 levels of nesting", "at most 64");
  }
  parse_json_line(text, where);  // says what is wrong
  throw InputError(where, "no JSON", "JSON");
}

void add_row(LogBuilder& log, const std::vector<JsonLeaf>& leaves, std::string& step_name,
             size_t place) {
  if (step_name.empty()) {
    std::vector<std::string> names;
    for (const JsonLeaf& leaf : leaves) names.push_back(leaf.path);
    step_name = log.choose_step(names, place);
  }
  const JsonLeaf* counted = leaf_at(leaves, step_name);
  if (counted == nullptr) {
    throw InputError(log.where(place), "no " + step_name, "the step of every row");
  }
  const bool is_number = counted->kind == JsonLeaf::Kind::kNumber;
  const int64_t step =
      log.step(is_number ? std::optional(counted->number) : std::nullopt, shown(*counted), place);
  for (const JsonLeaf& leaf : leaves) {
    if (&leaf == counted) continue;
    if (leaf.path == step_name) {
      throw InputError(log.where(place), step_name + " a second time", "one step a row");
    }
    const size_t site = log.site(leaf.path, place);
    switch (leaf.kind) {
      case JsonLeaf::Kind::kNumber:
        log.add(step, site, leaf.number, place);
        break;
      case JsonLeaf::Kind::kHugeNumber:
        log.refuse_number(site, place);
        break;
      case JsonLeaf::Kind::kOther:
        log.add_text(site, place);
    }
  }
}

}  // namespace samebits
