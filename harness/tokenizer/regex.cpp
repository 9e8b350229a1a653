#include "harness/tokenizer/regex.h"

#include "harness/base/error.h"
#include "harness/base/pcre2.h"
#include "harness/base/text.h"
#include "harness/tokenizer/utf8.h"

namespace samebits {

Regex::Regex(std::string_view pattern, const std::string& where) : where_(where) {
  try {
    code_ = compile_pcre2(pcre2_from_oniguruma(pattern, where),
                          PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C);
  } catch (const Pcre2Refusal& refusal) {
    throw InputError(where,
                     std::string("a regular expression that PCRE2 refuses (") + refusal.what() +
                         "): " + quoted(pattern),
                     "a valid one");
  }
}

std::vector<Regex::Match> Regex::find_all(std::string_view text) const {
  const auto data = make_match_data(*code_);
  std::vector<Match> matches;
  size_t offset = 0;
  while (offset <= text.size()) {
    // The text has been checked once; checking it at every match would be quadratic.
    const int result = match_pcre2(*code_, text, offset, PCRE2_NO_UTF_CHECK, *data);
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
