#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

// Texts for messages: those from outside (files, flags, the environment) made fit for a terminal.
namespace samebits {

// The text as one line in which nothing acts on a terminal. Control characters (C0, C1 and DEL),
// line separators and the characters that turn the direction of writing are shown as in JSON
// ("\n", "\u001b"), bytes that are no UTF-8 as "\xff". Everything else passes as it is, backslashes
// too, so that a text that has been made printable stays the same.
std::string printable(std::string_view text);

// The same for a text of several lines: newlines and tabs pass.
std::string printable_lines(std::string_view text);

// "rank 2", "ranks 0, 1 and 3".
std::string ranks_text(const std::vector<int64_t>& ranks);

// The text up to its first newline: what an exception says without its backtrace.
std::string first_line(std::string_view text);

// printable(text) where that has at most `longest` bytes; otherwise its begin and its end with
// " ... " between them, cut between characters. `longest` is at least 16.
std::string shortened(std::string_view text, size_t longest);

// The text in double quotes, for messages: printable, with quotes and backslashes escaped as in
// JSON. Texts longer than 100 bytes are cut, with "..." after the quotes.
//
// An object and not a function: a function of this name would compete with std::quoted, which the
// argument std::string drags in.
struct Quoted {
  std::string operator()(std::string_view text) const;
};
inline constexpr Quoted quoted{};

}  // namespace samebits
