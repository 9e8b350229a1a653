#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "harness/base/text.h"

// What reaches a terminal. Everything that samebits prints goes through here, and a test asserts
// that nothing else writes to stdout or stderr: what files, flags and the environment hold has no
// control characters when it arrives, and no line that has no end.
namespace samebits {

// Writes text of many lines to stdout (base/text.h: printable_lines). Where stdout is full, closed,
// or nobody reads it, the rest of a command goes on: a run has more to do than to be watched, and
// finish_output() tells of it at the end.
void print_text(std::string_view text);

// Shows a printable line in place of the one that the cursor is on, without a newline; "" clears
// it. For a terminal: the caller asks whether stdout is one.
void rewrite_line(std::string_view line);

// Writes one line of complaint to stderr, with the program's name.
void complain(std::string_view line);

// Sends what still waits. Throws RunError where anything that was printed is lost.
void finish_output();

// Opens what is closed of stdin, stdout and stderr, so that no file takes its number, in a way in
// which reading and writing fail; and lets a lost reader (SIGPIPE) and a limit on the size of files
// (SIGXFSZ) be errors of a write rather than the end of the process.
void prepare_streams();

// An argument of say(): a text as one printable line with an end, all else as it is.
template <typename T>
decltype(auto) shown_argument(const T& value) {
  if constexpr (std::is_convertible_v<const T&, std::string_view>) {
    return shortened(value, /*longest=*/4000);
  } else {
    return (value);  // NOLINT(readability-redundant-parentheses): they make it a reference
  }
}

// Formats and prints. The format is ours; what texts it shows stay within their line.
template <typename... Args>
void say(fmt::format_string<const Args&...> format, const Args&... args) {
  print_text(fmt::format(fmt::runtime(fmt::string_view(format)), shown_argument(args)...));
}

}  // namespace samebits
