#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

struct pcre2_real_code_8;
struct pcre2_real_match_data_8;

namespace samebits {

// A regular expression of a user, in PCRE2's syntax, over bytes that need not be UTF-8.
class Pattern {
 public:
  // Throws InputError that names `where` (a flag or a key), the byte and what PCRE2 says.
  Pattern(std::string_view pattern, std::string where);

  // The names of its groups, in the order of their numbers.
  const std::vector<std::string>& names() const { return names_; }

  bool matches(std::string_view text) const;

  // Calls `found` with what each named group matched, in the order of names(), for the first match
  // in `text`, or for all. A group that took no part has no data. False where there is none.
  // InputError where the pattern gives up on the text (PCRE2's limit of backtracking).
  using Groups = std::vector<std::string_view>;
  bool first_match(std::string_view text, Groups& groups) const;
  void all_matches(std::string_view text, const std::function<void(const Groups&)>& found) const;

 private:
  // The end of the match from `offset` on, or npos.
  size_t match_from(std::string_view text, size_t offset, Groups* groups) const;

  std::string where_;
  std::shared_ptr<pcre2_real_code_8> code_;
  std::shared_ptr<pcre2_real_match_data_8> data_;  // of a match, of which there is one at a time
  std::vector<std::string> names_;
  std::vector<size_t> numbers_;
};

}  // namespace samebits
