#include "harness/logs/pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <new>
#include <utility>

#include "harness/base/error.h"

namespace samebits {
namespace {

std::string pcre2_message(int code) {
  PCRE2_UCHAR buffer[256];
  pcre2_get_error_message(code, buffer, sizeof(buffer));
  return reinterpret_cast<const char*>(buffer);
}

PCRE2_SPTR subject_of(std::string_view text) { return reinterpret_cast<PCRE2_SPTR>(text.data()); }

}  // namespace

Pattern::Pattern(std::string_view pattern, std::string where) : where_(std::move(where)) {
  int error = 0;
  PCRE2_SIZE offset = 0;
  pcre2_code* code = pcre2_compile(subject_of(pattern), pattern.size(),
                                   PCRE2_UTF | PCRE2_MATCH_INVALID_UTF | PCRE2_NEVER_BACKSLASH_C,
                                   &error, &offset, nullptr);
  if (code == nullptr) {
    throw InputError(where_ + ": byte " + std::to_string(offset),
                     quoted(pattern) + " (" + pcre2_message(error) + ")",
                     "a regular expression of PCRE2");
  }
  code_ = std::shared_ptr<pcre2_code>(code, pcre2_code_free);
  pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);  // where it is not to be had: slower, same matches
  data_ = std::shared_ptr<pcre2_match_data>(pcre2_match_data_create_from_pattern(code, nullptr),
                                            pcre2_match_data_free);
  if (data_ == nullptr) throw std::bad_alloc();

  uint32_t count = 0;
  uint32_t entry_size = 0;
  PCRE2_SPTR table = nullptr;
  pcre2_pattern_info(code, PCRE2_INFO_NAMECOUNT, &count);
  pcre2_pattern_info(code, PCRE2_INFO_NAMEENTRYSIZE, &entry_size);
  pcre2_pattern_info(code, PCRE2_INFO_NAMETABLE, static_cast<void*>(&table));
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
  auto* data = static_cast<pcre2_match_data*>(data_.get());
  const auto match = [&](uint32_t options) {
    return pcre2_match(code_.get(), subject_of(text), text.size(), offset, options, data, nullptr);
  };
  int result = match(0);
  if (result == PCRE2_ERROR_JIT_STACKLIMIT) result = match(PCRE2_NO_JIT);
  if (result == PCRE2_ERROR_NOMATCH) return std::string_view::npos;
  if (result < 0) {
    throw InputError(where_,
                     quoted(text) + ", which it gives up on (" + pcre2_message(result) + ")",
                     "a pattern that a line can be matched with");
  }
  const PCRE2_SIZE* range = pcre2_get_ovector_pointer(data);
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
