#include "harness/tokenizer/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <new>

#include "harness/base/error.h"
#include "harness/base/text.h"
#include "harness/tokenizer/utf8.h"

namespace samebits {
namespace {

std::string pcre2_message(int code) {
  PCRE2_UCHAR buffer[256];
  pcre2_get_error_message(code, buffer, sizeof(buffer));
  return reinterpret_cast<const char*>(buffer);
}

PCRE2_SPTR subject_of(std::string_view text) { return reinterpret_cast<PCRE2_SPTR>(text.data()); }

}  // namespace

Regex::Regex(std::string_view pattern, const std::string& where) : where_(where) {
  const std::string translated = pcre2_from_oniguruma(pattern, where);
  int error = 0;
  PCRE2_SIZE error_offset = 0;
  pcre2_code* code = pcre2_compile(subject_of(translated), translated.size(),
                                   PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C, &error,
                                   &error_offset, nullptr);
  if (code == nullptr) {
    throw InputError(where,
                     "a regular expression that PCRE2 refuses (" + pcre2_message(error) +
                         "): " + quoted(pattern),
                     "a valid one");
  }
  code_ = std::shared_ptr<pcre2_code>(code, pcre2_code_free);
  // Where just-in-time compilation is not to be had, pcre2_match interprets: slower, same matches.
  pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
}

std::vector<Regex::Match> Regex::find_all(std::string_view text) const {
  const std::unique_ptr<pcre2_match_data, decltype(&pcre2_match_data_free)> data(
      pcre2_match_data_create_from_pattern(code_.get(), nullptr), pcre2_match_data_free);
  if (data == nullptr) throw std::bad_alloc();
  const auto match_from = [&](size_t offset, uint32_t options) {
    // The text has been checked once; checking it at every match would be quadratic.
    return pcre2_match(code_.get(), subject_of(text), text.size(), offset,
                       PCRE2_NO_UTF_CHECK | options, data.get(), nullptr);
  };

  std::vector<Match> matches;
  size_t offset = 0;
  while (offset <= text.size()) {
    int result = match_from(offset, 0);
    if (result == PCRE2_ERROR_JIT_STACKLIMIT) result = match_from(offset, PCRE2_NO_JIT);
    if (result == PCRE2_ERROR_NOMATCH) break;
    if (result < 0) {
      throw InputError(where_ + ": at byte " + std::to_string(offset) +
                       " of a text: " + pcre2_message(result));
    }
    const PCRE2_SIZE* range = pcre2_get_ovector_pointer(data.get());
    const Match match{range[0], range[1]};
    if (match.begin == match.end && !matches.empty() && matches.back().end == match.end) {
      offset += offset < text.size() ? utf8_length(text[offset]) : 1;
      continue;
    }
    matches.push_back(match);
    offset = match.end;
  }
  return matches;
}

}  // namespace samebits
