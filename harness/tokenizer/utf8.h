#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace samebits {

// The byte offset of the first ill-formed UTF-8 sequence (overlong forms, surrogates and values
// above U+10FFFF included); nullopt if the text is well-formed.
std::optional<size_t> find_invalid_utf8(std::string_view text);

// The text with each maximal ill-formed part replaced by one U+FFFD, as the Unicode Standard
// recommends (chapter 3, "U+FFFD Substitution of Maximal Subparts"), and as Rust's
// String::from_utf8_lossy does.
std::string lossy_utf8(std::string_view bytes);

// The bytes of the well-formed sequence that starts with `first`.
size_t utf8_length(char first);

// Appends the UTF-8 form of a code point.
void append_utf8(std::string& text, char32_t code_point);

// The code point at `offset` of a well-formed text; `offset` moves behind it.
char32_t next_code_point(std::string_view text, size_t& offset);

}  // namespace samebits
