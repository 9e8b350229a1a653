#include "harness/tokenizer/byte_alphabet.h"

#include <array>

#include "harness/tokenizer/utf8.h"

namespace samebits {
namespace {

constexpr size_t kLetters = 256 + 68;

struct Alphabet {
  std::array<char32_t, 256> letters{};
  std::array<int, kLetters> bytes{};  // by letter; -1 for what is no letter
};

constexpr bool stands_for_itself(int byte) {
  return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
}

constexpr Alphabet make_alphabet() {
  Alphabet alphabet;
  alphabet.bytes.fill(-1);
  char32_t next = 256;
  for (int byte = 0; byte < 256; ++byte) {
    const char32_t letter = stands_for_itself(byte) ? static_cast<char32_t>(byte) : next++;
    alphabet.letters[byte] = letter;
    alphabet.bytes[letter] = byte;
  }
  return alphabet;
}

constexpr Alphabet kAlphabet = make_alphabet();

}  // namespace

char32_t letter_of_byte(uint8_t byte) { return kAlphabet.letters[byte]; }

std::optional<std::string> bytes_of_letters(std::string_view token) {
  std::string bytes;
  size_t offset = 0;
  while (offset < token.size()) {
    const char32_t letter = next_code_point(token, offset);
    if (letter >= kLetters || kAlphabet.bytes[letter] < 0) return std::nullopt;
    bytes += static_cast<char>(kAlphabet.bytes[letter]);
  }
  return bytes;
}

std::string letters_of_bytes(std::string_view bytes) {
  std::string letters;
  for (const char byte : bytes) append_utf8(letters, letter_of_byte(static_cast<uint8_t>(byte)));
  return letters;
}

}  // namespace samebits
