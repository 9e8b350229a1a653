#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace samebits {

// Byte-level BPE writes tokens in an alphabet of 256 printable characters, one a byte: the bytes
// that are printable in Latin-1 stand for themselves, the other 68 are U+0100, U+0101, ... in
// ascending order. Source: GPT-2's encoder.py, `bytes_to_unicode`.

// The character that stands for a byte.
char32_t letter_of_byte(uint8_t byte);

// The bytes that the letters of a token stand for; nullopt if a character is no letter of the
// alphabet. `token` is well-formed UTF-8.
std::optional<std::string> bytes_of_letters(std::string_view token);

// The inverse: the letters, in UTF-8, of any bytes.
std::string letters_of_bytes(std::string_view bytes);

}  // namespace samebits
