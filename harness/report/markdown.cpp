#include "harness/report/markdown.h"

#include <algorithm>

#include "harness/base/text.h"

namespace samebits {
namespace {

// Between two characters that GitHub would join to a mention or a link after Markdown is done.
constexpr std::string_view kBreak = "&#8203;";

bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// `text` at `i` and its neighbours, NUL beyond the ends.
char at(std::string_view text, size_t i) { return i < text.size() ? text[i] : '\0'; }
char before(std::string_view text, size_t i) { return i == 0 ? '\0' : text[i - 1]; }

// "#12" and "owner/name#12", but not "w2#0".
bool is_reference(std::string_view text, size_t i) {
  if (!is_digit(at(text, i + 1))) return false;
  size_t begin = i;
  while (begin > 0 && (is_word(text[begin - 1]) ||
                       std::string_view("-_./").find(text[begin - 1]) != std::string_view::npos)) {
    --begin;
  }
  const std::string_view name = text.substr(begin, i - begin);
  return name.empty() || name.find('/') != std::string_view::npos;
}

// ":smile:"
bool is_emoji(std::string_view text) {
  size_t end = 1;
  while (is_word(at(text, end)) || std::string_view("_+-").find(at(text, end)) < 3) ++end;
  return end > 1 && at(text, end) == ':';
}

// Whether what begins at `i` is to be broken behind it.
bool joins(std::string_view text, size_t i) {
  const std::string_view rest = text.substr(i);
  if (rest[0] == '@') return is_word(at(text, i + 1));
  if (rest[0] == '#') return is_reference(text, i);
  if (rest[0] == '-') return text.substr(0, i).ends_with("GH") && is_digit(at(text, i + 1));
  if (rest[0] == ':' && is_emoji(rest)) return true;
  return rest.starts_with("://");
}

// "www.", of which GitHub makes a link.
bool ends_www(std::string_view text, size_t i) {
  std::string name(text.substr(i < 3 ? 0 : i - 3, std::min<size_t>(i, 3)));
  std::transform(name.begin(), name.end(), name.begin(), [](char c) { return c | 0x20; });
  return text[i] == '.' && name == "www";
}

// "[1]" and "logprob[0,3]" begin no link.
bool is_index(std::string_view text, size_t i) {
  size_t end = i + 1;
  while (is_digit(at(text, end)) || at(text, end) == ',') ++end;
  const char next = at(text, end + 1);
  return at(text, end) == ']' && next != '(' && next != '[' && next != ':';
}

bool needs_backslash(std::string_view text, size_t i) {
  const char c = text[i];
  if (c == '[') return !is_index(text, i);
  // Inside of a word an underscore is only that.
  if (c == '_') return !(is_word(before(text, i)) && is_word(at(text, i + 1)));
  return std::string_view("\\`*~$|").find(c) != std::string_view::npos;
}

// What would begin a heading, a list, a rule or an underline where the text begins a line: how many
// bytes stand before the one to escape; npos: none.
size_t block_marker(std::string_view text) {
  size_t digits = 0;
  while (is_digit(at(text, digits))) ++digits;
  const char c = at(text, digits);
  const char next = at(text, digits + 1);
  const std::string_view markers = digits > 0 ? ".)" : "-+#=";
  const bool is_marker = c != '\0' && markers.find(c) != std::string_view::npos;
  const bool stands_alone = next == ' ' || next == '\0' || (digits == 0 && next == c);
  return is_marker && stands_alone ? digits : std::string_view::npos;
}

size_t longest_run_of_backticks(std::string_view text) {
  size_t longest = 0, run = 0;
  for (const char c : text) {
    run = c == '`' ? run + 1 : 0;
    longest = std::max(longest, run);
  }
  return longest;
}

}  // namespace

std::string markdown_text(std::string_view raw) {
  std::string text = printable(raw);
  text.erase(0, std::min(text.find_first_not_of(' '), text.size()));
  const size_t marker = block_marker(text);
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '<' || c == '>' || c == '&') {
      out += c == '<' ? "&lt;" : c == '>' ? "&gt;" : "&amp;";
      continue;
    }
    if (i == marker || needs_backslash(text, i)) out += '\\';
    if (ends_www(text, i)) out += kBreak;
    out += c;
    if (joins(text, i)) out += kBreak;
  }
  return out;
}

std::string markdown_code(std::string_view raw) {
  const std::string text = printable(raw);
  const std::string fence(longest_run_of_backticks(text) + 1, '`');
  // One space is taken off each side, so that the text may begin and end with backticks.
  const bool is_padded = text.empty() || text.front() == '`' || text.back() == '`' ||
                         text.front() == ' ' || text.back() == ' ';
  const std::string space = is_padded ? " " : "";
  return fence + space + text + space + fence;
}

std::string markdown_block(std::string_view raw) {
  std::string text = printable_lines(raw);
  if (!text.ends_with('\n')) text += '\n';
  const std::string fence(std::max<size_t>(3, longest_run_of_backticks(text) + 1), '`');
  return fence + "\n" + text + fence + "\n";
}

}  // namespace samebits
