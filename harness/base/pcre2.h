#pragma once

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

// What every user of PCRE2 needs of it: ownership, its messages, and a match that does not depend on
// the size of its just-in-time stack.
namespace samebits {

// An expression that PCRE2 does not compile; what() is its message.
struct Pcre2Refusal : std::runtime_error {
  Pcre2Refusal(const std::string& message, size_t byte)
      : std::runtime_error(message), offset(byte) {}
  size_t offset;  // of the pattern, in bytes
};

std::string pcre2_message(int code);

// `options` as pcre2_compile takes them. Compiled to machine code where that is to be had; where
// not, PCRE2 interprets: slower, same matches. Safe to share between threads. Throws Pcre2Refusal.
std::shared_ptr<pcre2_code> compile_pcre2(std::string_view pattern, uint32_t options);

// Room for the groups of one match of `code` at a time. Throws std::bad_alloc.
std::shared_ptr<pcre2_match_data> make_match_data(const pcre2_code& code);

// Matches from `offset` on and returns what pcre2_match does, PCRE2_ERROR_NOMATCH included.
int match_pcre2(const pcre2_code& code, std::string_view text, size_t offset, uint32_t options,
                pcre2_match_data& data);

}  // namespace samebits
