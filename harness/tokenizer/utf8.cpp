#include "harness/tokenizer/utf8.h"

#include <cstdint>

namespace samebits {
namespace {

// The maximal prefix of `text` (not empty) that is one sequence or the beginning of one.
struct Prefix {
  size_t size;
  bool is_complete;
};

Prefix next_prefix(std::string_view text) {
  const auto byte = [text](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t first = byte(0);
  if (first < 0x80) return {1, true};
  // The Unicode Standard, table 3-7: only the second byte's range depends on the first.
  size_t size = 0;
  uint8_t low = 0x80, high = 0xbf;
  if (first >= 0xc2 && first <= 0xdf) {
    size = 2;
  } else if (first >= 0xe0 && first <= 0xef) {
    size = 3;
    if (first == 0xe0) low = 0xa0;   // overlong below
    if (first == 0xed) high = 0x9f;  // surrogates above
  } else if (first >= 0xf0 && first <= 0xf4) {
    size = 4;
    if (first == 0xf0) low = 0x90;   // overlong below
    if (first == 0xf4) high = 0x8f;  // U+10FFFF is the last
  } else {
    return {1, false};
  }
  for (size_t i = 1; i < size; ++i) {
    if (i == text.size() || byte(i) < low || byte(i) > high) return {i, false};
    low = 0x80;
    high = 0xbf;
  }
  return {size, true};
}

}  // namespace

std::optional<size_t> find_invalid_utf8(std::string_view text) {
  size_t offset = 0;
  while (offset < text.size()) {
    const Prefix prefix = next_prefix(text.substr(offset));
    if (!prefix.is_complete) return offset;
    offset += prefix.size;
  }
  return std::nullopt;
}

std::string lossy_utf8(std::string_view bytes) {
  std::string text;
  text.reserve(bytes.size());
  size_t offset = 0;
  while (offset < bytes.size()) {
    const Prefix prefix = next_prefix(bytes.substr(offset));
    if (prefix.is_complete) {
      text += bytes.substr(offset, prefix.size);
    } else {
      text += "\uFFFD";
    }
    offset += prefix.size;
  }
  return text;
}

size_t utf8_length(char first) {
  const auto byte = static_cast<uint8_t>(first);
  return byte < 0x80 ? 1 : byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4;
}

void append_utf8(std::string& text, char32_t code_point) {
  const auto tail = [code_point](int shift) {
    return static_cast<char>(0x80 | (code_point >> shift & 0x3f));
  };
  if (code_point < 0x80) {
    text += static_cast<char>(code_point);
  } else if (code_point < 0x800) {
    text += {static_cast<char>(0xc0 | code_point >> 6), tail(0)};
  } else if (code_point < 0x10000) {
    text += {static_cast<char>(0xe0 | code_point >> 12), tail(6), tail(0)};
  } else {
    text += {static_cast<char>(0xf0 | code_point >> 18), tail(12), tail(6), tail(0)};
  }
}

char32_t next_code_point(std::string_view text, size_t& offset) {
  const size_t size = utf8_length(text[offset]);
  const auto first = static_cast<uint8_t>(text[offset]);
  char32_t code_point = size == 1 ? first : first & (0xff >> (size + 1));
  for (size_t i = 1; i < size; ++i) code_point = code_point << 6 | (text[offset + i] & 0x3f);
  offset += size;
  return code_point;
}

}  // namespace samebits
