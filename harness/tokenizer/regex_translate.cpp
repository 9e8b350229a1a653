#include <algorithm>
#include <array>
#include <cctype>

#include "harness/base/error.h"
#include "harness/base/text.h"
#include "harness/tokenizer/regex.h"

namespace samebits {
namespace {

constexpr std::string_view kCategories[] = {"L",  "Lu", "Ll", "Lt", "Lm", "Lo", "M",  "Mn", "Mc",
                                            "Me", "N",  "Nd", "Nl", "No", "P",  "Pc", "Pd", "Ps",
                                            "Pe", "Pi", "Pf", "Po", "S",  "Sm", "Sc", "Sk", "So",
                                            "Z",  "Zs", "Zl", "Zp", "C",  "Cc", "Cf", "Co", "Cs"};
constexpr std::string_view kScripts[] = {"Arabic",   "Bengali",  "Cyrillic", "Devanagari",
                                         "Greek",    "Han",      "Hangul",   "Hebrew",
                                         "Hiragana", "Katakana", "Latin",    "Thai"};
constexpr std::string_view kGroupOpenings[] = {"(?:", "(?=", "(?!", "(?<=", "(?<!", "(?>", "(?i:"};

bool contains(const auto& names, std::string_view name) {
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

class Translator {
 public:
  Translator(std::string_view pattern, const std::string& where)
      : pattern_(pattern), where_(where) {}

  std::string run() {
    while (at_ < pattern_.size()) {
      switch (pattern_[at_]) {
        case '\\':
          escape();
          break;
        case '[':
          character_class();
          break;
        case '(':
          group();
          break;
        case '{':
          interval();
          break;
        case '}':
        case ']':
          refuse(1, "the same, escaped");
        case '^':
        case '$':
          refuse(1, "no anchor (Oniguruma's are those of lines)");
        default:
          copy(1);
      }
    }
    return std::move(out_);
  }

 private:
  [[noreturn]] void refuse(size_t size, const std::string& expected) const {
    throw InputError(where_ + ": byte " + std::to_string(at_) + " of the regular expression",
                     quoted(pattern_.substr(at_, size)), expected);
  }

  bool next_is(std::string_view text) const { return pattern_.substr(at_).starts_with(text); }

  void copy(size_t size) {
    out_ += pattern_.substr(at_, size);
    at_ += size;
  }

  void replace(size_t size, std::string_view text) {
    out_ += text;
    at_ += size;
  }

  // A backslash and what belongs to it; the same inside and outside a class.
  void escape() {
    if (at_ + 1 == pattern_.size()) refuse(1, "a character after the backslash");
    const char c = pattern_[at_ + 1];
    switch (c) {
      case 's':
        return replace(2, "\\p{White_Space}");
      case 'S':
        return replace(2, "\\P{White_Space}");
      case 'd':
        return replace(2, "\\p{Nd}");
      case 'D':
        return replace(2, "\\P{Nd}");
      case 'r':
      case 'n':
      case 't':
      case 'f':
        return copy(2);
      case 'p':
      case 'P':
        return property();
      case 'u':
        return code_point(2, at_ + 2, 4);
      case 'x':
        if (!next_is("\\x{")) refuse(2, "\\x{...}");
        return braced_code_point();
      default:
        if (static_cast<unsigned char>(c) >= 0x80 || std::isalnum(static_cast<unsigned char>(c))) {
          refuse(2, "an escape that Oniguruma and PCRE2 read alike");
        }
        return copy(2);
    }
  }

  void property() {
    const size_t close = pattern_.find('}', at_);
    if (!(next_is("\\p{") || next_is("\\P{")) || close == std::string_view::npos) {
      refuse(3, "\\p{NAME}");
    }
    const std::string_view name = pattern_.substr(at_ + 3, close - at_ - 3);
    const size_t size = close + 1 - at_;
    const std::string opening(pattern_.substr(at_, 3));
    if (contains(kCategories, name)) return copy(size);
    // By itself PCRE2 takes a script's name for its extensions too.
    if (contains(kScripts, name)) return replace(size, opening + "sc:" + std::string(name) + "}");
    refuse(size, "a general category or a well-known script");
  }

  void braced_code_point() {
    const size_t close = pattern_.find('}', at_);
    if (close == std::string_view::npos) refuse(3, "\\x{...}");
    code_point(3, at_ + 3, close - at_ - 3);
    ++at_;  // the brace
  }

  // `digits` hexadecimal digits that start at `begin`, behind `prefix` bytes.
  void code_point(size_t prefix, size_t begin, size_t digits) {
    const std::string_view hex = pattern_.substr(std::min(begin, pattern_.size()), digits);
    const bool is_hex = !hex.empty() && std::all_of(hex.begin(), hex.end(), [](unsigned char c) {
      return std::isxdigit(c);
    });
    if (!is_hex || hex.size() != digits || digits > 6) refuse(prefix + digits, "hex digits");
    replace(prefix + digits, "\\x{" + std::string(hex) + "}");
  }

  void character_class() {
    copy(1);
    if (next_is("^")) copy(1);
    if (next_is("]")) refuse(1, "a class with members");
    while (at_ < pattern_.size() && pattern_[at_] != ']') {
      if (pattern_[at_] == '\\') {
        escape();
      } else if (pattern_[at_] == '[' || next_is("&&")) {
        refuse(2, "a plain class (Oniguruma nests and intersects here)");
      } else {
        copy(1);
      }
    }
    if (at_ == pattern_.size()) {
      throw InputError(where_, "a class without its end in " + quoted(pattern_), "\"]\"");
    }
    copy(1);
  }

  void group() {
    if (next_is("(*")) refuse(2, "no verb");
    if (!next_is("(?")) return copy(1);
    for (const std::string_view opening : kGroupOpenings) {
      if (next_is(opening)) return copy(opening.size());
    }
    refuse(4, "one of (?: (?= (?! (?<= (?<! (?> (?i:");
  }

  // {n}, {n,} or {n,m}. Oniguruma's {,m}, {n}? and {n,m}+ mean something else to PCRE2.
  void interval() {
    size_t end = at_ + 1;
    const auto digits = [&] {
      const size_t begin = end;
      while (end < pattern_.size() && std::isdigit(static_cast<unsigned char>(pattern_[end]))) {
        ++end;
      }
      return end - begin;
    };
    bool is_range = false;
    bool is_valid = digits() > 0;
    if (is_valid && pattern_.substr(end).starts_with(',')) {
      is_range = true;
      ++end;
      digits();
    }
    is_valid = is_valid && pattern_.substr(end).starts_with('}');
    if (!is_valid) refuse(end + 1 - at_, "an interval {n}, {n,} or {n,m}, or \"\\{\"");
    ++end;
    const std::string_view rest = pattern_.substr(end);
    if (rest.starts_with('+') || (!is_range && rest.starts_with('?'))) {
      refuse(end + 1 - at_, "an interval without this suffix");
    }
    copy(end - at_);
  }

  std::string_view pattern_;
  const std::string& where_;
  size_t at_ = 0;
  std::string out_;
};

}  // namespace

std::string pcre2_from_oniguruma(std::string_view pattern, const std::string& where) {
  return Translator(pattern, where).run();
}

}  // namespace samebits
