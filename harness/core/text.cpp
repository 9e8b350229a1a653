#include "harness/core/text.h"

namespace samebits {
namespace {

constexpr size_t kLongest = 100;

// The longest prefix of at most kLongest bytes that does not end inside a UTF-8 sequence.
std::string_view prefix_of(std::string_view text) {
  if (text.size() <= kLongest) return text;
  size_t size = kLongest;
  while (size > kLongest - 4 && (static_cast<unsigned char>(text[size]) & 0xc0) == 0x80) --size;
  return text.substr(0, size);
}

}  // namespace

std::string Quoted::operator()(std::string_view text) const {
  constexpr char kDigits[] = "0123456789abcdef";
  const std::string_view prefix = prefix_of(text);
  std::string out;
  out.reserve(prefix.size() + 8);
  out += '"';
  for (const char c : prefix) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (byte < 0x20 || byte == 0x7f) {
      out += "\\u00";
      out += kDigits[byte >> 4];
      out += kDigits[byte & 15];
    } else {
      out += c;
    }
  }
  out += '"';
  if (prefix.size() < text.size()) out += "...";
  return out;
}

}  // namespace samebits
