#include "harness/base/text.h"

#include <array>
#include <cstdint>

namespace samebits {
namespace {

constexpr size_t kLongestQuoted = 100;
constexpr char kDigits[] = "0123456789abcdef";

bool continues(char byte) { return (static_cast<unsigned char>(byte) & 0xc0) == 0x80; }

// One character of a text, or one byte that begins none.
struct Character {
  size_t bytes = 1;
  uint32_t code = 0;
  bool is_valid = false;
};

// The shortest form alone is UTF-8, and the halves of surrogate pairs are none.
Character character_at(std::string_view text, size_t at) {
  const auto first = static_cast<unsigned char>(text[at]);
  if (first < 0x80) return {1, first, true};
  const size_t bytes = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc0 || first > 0xf7 || at + bytes > text.size()) return {1, first, false};
  uint32_t code = first & (0xff >> (bytes + 1));
  for (size_t i = 1; i < bytes; ++i) {
    if (!continues(text[at + i])) return {1, first, false};
    code = code << 6 | (static_cast<unsigned char>(text[at + i]) & 0x3f);
  }
  constexpr std::array<uint32_t, 5> kLeast = {0, 0, 0x80, 0x800, 0x10000};
  const bool is_surrogate = code >= 0xd800 && code < 0xe000;
  if (code < kLeast[bytes] || code > 0x10ffff || is_surrogate) return {1, first, false};
  return {bytes, code, true};
}

bool acts_on_a_terminal(uint32_t code) {
  const bool is_control = code < 0x20 || (code >= 0x7f && code < 0xa0);
  const bool separates_lines = code == 0x2028 || code == 0x2029;
  const bool turns = (code >= 0x202a && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069) ||
                     code == 0x200e || code == 0x200f || code == 0x061c;
  const bool is_no_character = code == 0xfffe || code == 0xffff;  // XML has no way to say them
  return is_control || separates_lines || turns || is_no_character;
}

void append_escaped(std::string& out, const Character& character) {
  if (character.code == '\n') {
    out += "\\n";
    return;
  }
  out += character.is_valid ? "\\u" : "\\x";
  for (int shift = character.is_valid ? 12 : 4; shift >= 0; shift -= 4) {
    out += kDigits[character.code >> shift & 15];
  }
}

template <typename IsKept>
std::string escaped(std::string_view text, IsKept is_kept) {
  std::string out;
  out.reserve(text.size() + 8);
  for (size_t at = 0; at < text.size();) {
    const Character character = character_at(text, at);
    const bool passes = character.is_valid && !acts_on_a_terminal(character.code);
    if (passes || is_kept(character.code)) {
      out += text.substr(at, character.bytes);
    } else {
      append_escaped(out, character);
    }
    at += character.bytes;
  }
  return out;
}

// The longest prefix of at most `longest` bytes that does not end inside a character.
std::string_view prefix_of(std::string_view text, size_t longest) {
  if (text.size() <= longest) return text;
  size_t size = longest;
  while (size > 0 && size + 4 > longest && continues(text[size])) --size;
  return text.substr(0, size);
}

std::string_view suffix_of(std::string_view text, size_t longest) {
  if (text.size() <= longest) return text;
  size_t begin = text.size() - longest;
  while (begin < text.size() && continues(text[begin])) ++begin;
  return text.substr(begin);
}

}  // namespace

std::string printable(std::string_view text) {
  return escaped(text, [](uint32_t) { return false; });
}

std::string printable_lines(std::string_view text) {
  return escaped(text, [](uint32_t code) { return code == '\n' || code == '\t'; });
}

std::string ranks_text(const std::vector<int64_t>& ranks) {
  std::string text = ranks.size() == 1 ? "rank " : "ranks ";
  for (size_t i = 0; i < ranks.size(); ++i) {
    if (i > 0) text += i + 1 == ranks.size() ? " and " : ", ";
    text += std::to_string(ranks[i]);
  }
  return text;
}

std::string first_line(std::string_view text) {
  return std::string(text.substr(0, text.find('\n')));
}

std::string shortened(std::string_view text, size_t longest) {
  if (text.size() <= longest) {
    std::string line = printable(text);
    if (line.size() <= longest) return line;
  }
  constexpr std::string_view kGap = " ... ";
  const size_t head = (longest - kGap.size()) * 2 / 3;
  const size_t tail = longest - kGap.size() - head;
  // What is escaped grows, so both ends are cut a second time.
  const std::string begin = printable(prefix_of(text, head));
  const std::string end = printable(suffix_of(text, tail));
  return std::string(prefix_of(begin, head)).append(kGap).append(suffix_of(end, tail));
}

std::string Quoted::operator()(std::string_view text) const {
  const std::string_view prefix = prefix_of(text, kLongestQuoted);
  std::string inner;
  for (const char c : prefix) {
    if (c == '"' || c == '\\') inner += '\\';
    inner += c;
  }
  const std::string cut = prefix.size() < text.size() ? "..." : "";
  return '"' + printable(inner) + '"' + cut;
}

}  // namespace samebits
