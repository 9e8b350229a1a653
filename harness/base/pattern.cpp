#include "harness/base/pattern.h"

#include <algorithm>
#include <utility>

#include "harness/base/error.h"
#include "harness/base/pcre2.h"
#include "harness/base/text.h"

namespace samebits {

Pattern::Pattern(std::string_view pattern, std::string where) : where_(std::move(where)) {
  try {
    code_ = compile_pcre2(pattern, PCRE2_UTF | PCRE2_MATCH_INVALID_UTF | PCRE2_NEVER_BACKSLASH_C);
  } catch (const Pcre2Refusal& refusal) {
    throw InputError(where_ + ": byte " + std::to_string(refusal.offset),
                     quoted(pattern) + " (" + refusal.what() + ")",
                     "a regular expression of PCRE2");
  }
  data_ = make_match_data(*code_);

  uint32_t count = 0;
  uint32_t entry_size = 0;
  PCRE2_SPTR table = nullptr;
  pcre2_pattern_info(code_.get(), PCRE2_INFO_NAMECOUNT, &count);
  pcre2_pattern_info(code_.get(), PCRE2_INFO_NAMEENTRYSIZE, &entry_size);
  pcre2_pattern_info(code_.get(), PCRE2_INFO_NAMETABLE, static_cast<void*>(&table));
  std::vector<std::pair<size_t, std::string>> groups;
  for (uint32_t i = 0; i < count; ++i) {
    const PCRE2_SPTR entry = table + static_cast<size_t>(i) * entry_size;
    groups.emplace_back(entry[0] << 8 | entry[1], reinterpret_cast<const char*>(entry + 2));
  }
  std::sort(groups.begin(), groups.end());
  for (auto& [number, name] : groups) {
    numbers_.push_back(number);
    names_.push_back(std::move(name));
  }
}

size_t Pattern::match_from(std::string_view text, size_t offset, Groups* groups) const {
  const int result = match_pcre2(*code_, text, offset, 0, *data_);
  if (result == PCRE2_ERROR_NOMATCH) return std::string_view::npos;
  if (result < 0) {
    throw InputError(where_,
                     quoted(text) + ", which it gives up on (" + pcre2_message(result) + ")",
                     "a pattern that a line can be matched with");
  }
  const PCRE2_SIZE* range = pcre2_get_ovector_pointer(data_.get());
  if (groups != nullptr) {
    groups->clear();
    for (const size_t number : numbers_) {
      const size_t begin = range[2 * number];
      groups->push_back(begin == PCRE2_UNSET ? std::string_view()
                                             : text.substr(begin, range[2 * number + 1] - begin));
    }
  }
  return std::max<size_t>(range[1], offset + 1);  // an empty match is not found twice
}

bool Pattern::matches(std::string_view text) const {
  return match_from(text, 0, nullptr) != std::string_view::npos;
}

bool Pattern::first_match(std::string_view text, Groups& groups) const {
  return match_from(text, 0, &groups) != std::string_view::npos;
}

void Pattern::all_matches(std::string_view text,
                          const std::function<void(const Groups&)>& found) const {
  Groups groups;
  for (size_t offset = 0; offset <= text.size();) {
    offset = match_from(text, offset, &groups);
    if (offset == std::string_view::npos) return;
    found(groups);
  }
}

}  // namespace samebits
