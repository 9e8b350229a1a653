#include "harness/base/output.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <string>

#include "harness/base/error.h"

namespace samebits {
namespace {

int first_failure = 0;  // errno of the first write to stdout that failed

void note_failure(bool is_written) {
  if (!is_written && first_failure == 0) first_failure = errno;
}

void write(const std::string& text) {
  if (first_failure != 0) return;
  note_failure(std::fwrite(text.data(), 1, text.size(), stdout) == text.size());
  note_failure(std::fflush(stdout) == 0);
}

}  // namespace

void print_text(std::string_view text) { write(printable_lines(text)); }

void rewrite_line(std::string_view line) {
  write("\r" + shortened(line, /*longest=*/400) + "\033[K" + (line.empty() ? "\r" : ""));
}

void complain(std::string_view line) {
  const std::string shown = "samebits: " + message_line(line) + "\n";
  (void)std::fwrite(shown.data(), 1, shown.size(), stderr);
}

void finish_output() {
  note_failure(std::fflush(stdout) == 0);
  if (first_failure == 0 && std::ferror(stdout) != 0) first_failure = EIO;  // a library's writing
  if (first_failure == 0) return;
  throw RunError(std::string("stdout: cannot be written: ") + std::strerror(first_failure));
}

void prepare_streams() {
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (fcntl(stream, F_GETFD) >= 0) continue;
    // The lowest number that is free is this one.
    (void)open("/dev/null", stream == STDIN_FILENO ? O_WRONLY : O_RDONLY);
  }
  // Handlers, since a program that we start would inherit that a signal is ignored.
  for (const int signal : {SIGPIPE, SIGXFSZ}) std::signal(signal, [](int) {});
}

}  // namespace samebits
