#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

struct pcre2_real_code_8;

namespace samebits {

// Rewrites a regular expression of a tokenizer.json, which is written for Oniguruma (Ruby syntax),
// so that PCRE2 reads the same language: `\s` becomes the Unicode property White_Space, `\p{Han}`
// the script without its extensions, and so on. What the two libraries would read differently and
// what no tokenizer is known to use (`^`, `$`, `\w`, `\b`, `\h`, nested classes, flags other than
// `(?i:`, ...) throws InputError, which names `where`, the byte and the construct.
//
// Limit: the libraries' Unicode versions differ (PCRE2 10.42 has 14.0), so a character younger than
// that may be of another class.
std::string pcre2_from_oniguruma(std::string_view pattern, const std::string& where);

// A compiled regular expression over UTF-8. Safe to share between threads.
class Regex {
 public:
  struct Match {
    size_t begin;  // byte offsets
    size_t end;
  };

  // `pattern` is in Oniguruma's syntax. Throws InputError naming `where`.
  Regex(std::string_view pattern, const std::string& where);

  // All matches from left to right, none overlapping; an empty match directly after another is
  // passed over. `text` is well-formed UTF-8. Throws InputError if the backtracking limit is hit.
  std::vector<Match> find_all(std::string_view text) const;

 private:
  std::string where_;
  std::shared_ptr<pcre2_real_code_8> code_;
};

}  // namespace samebits
