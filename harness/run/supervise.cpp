#include "harness/run/supervise.h"

#include <fmt/format.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "harness/base/child_environment.h"
#include "harness/base/output.h"

namespace samebits {
namespace {

namespace fs = std::filesystem;

constexpr int kNotStarted = 127;
constexpr int kSignalled = 128;

// In the child of the fork. This process ignores signals that a program expects to be ended by.
[[noreturn]] void become(std::vector<std::string>& command, const sigset_t& signals) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  signal(SIGPIPE, SIG_DFL);
  signal(SIGXFSZ, SIG_DFL);
  sigprocmask(SIG_SETMASK, &signals, nullptr);
  const std::vector<char*> argv = pointers_to(command);
  execvp(argv.front(), argv.data());
  complain(fmt::format("{}: {}", command.front(), strerror(errno)));
  _exit(kNotStarted);
}

// The parent of a process, 0 where it is gone. /proc/N/stat: "N (name) state parent ...", where the
// name may have any character.
pid_t parent_of(const fs::path& process) {
  std::ifstream file(process / "stat");
  std::string text;
  std::getline(file, text);
  const size_t name_end = text.rfind(") ");
  if (name_end == std::string::npos) return 0;
  pid_t parent = 0;
  const char* begin = text.data() + std::min(name_end + 4, text.size());
  std::from_chars(begin, text.data() + text.size(), parent);
  return parent;
}

void kill_children() {
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator("/proc", error)) {
    const std::string name = entry.path().filename().string();
    pid_t process = 0;
    const auto [end, failed] = std::from_chars(name.data(), name.data() + name.size(), process);
    if (failed != std::errc() || end != name.data() + name.size()) continue;
    if (parent_of(entry.path()) == getpid()) kill(process, SIGKILL);
  }
}

// What a killed child had started becomes a child of this process (PR_SET_CHILD_SUBREAPER), and is
// killed in turn.
void kill_descendants() {
  do {
    kill_children();
  } while (waitpid(-1, nullptr, 0) > 0);
}

int code_of(int status) {
  return WIFSIGNALED(status) ? kSignalled + WTERMSIG(status) : WEXITSTATUS(status);
}

}  // namespace

int supervise(std::vector<std::string> command) {
  setsid();
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  sigset_t awaited;
  sigset_t before;
  sigemptyset(&awaited);
  for (const int each : {SIGCHLD, SIGTERM, SIGINT, SIGHUP}) sigaddset(&awaited, each);
  sigprocmask(SIG_BLOCK, &awaited, &before);
  const pid_t program = fork();
  if (program == 0) become(command, before);
  if (program < 0) {
    complain(fmt::format("{}: {}", command.front(), strerror(errno)));
    return kNotStarted;
  }
  int code = kSignalled + SIGTERM;
  for (bool is_over = false; !is_over;) {
    const int received = sigwaitinfo(&awaited, nullptr);
    is_over = received > 0 && received != SIGCHLD;
    int status = 0;
    for (pid_t ended = 0; (ended = waitpid(-1, &status, WNOHANG)) > 0;) {
      if (ended != program) continue;
      code = code_of(status);
      is_over = true;
    }
  }
  kill_descendants();
  return code;
}

}  // namespace samebits
