#include "harness/run/program_run.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <sstream>

#include "harness/base/child_environment.h"
#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/base/mapped_file.h"
#include "harness/base/stopwatch.h"

namespace samebits {
namespace {

namespace fs = std::filesystem;

constexpr int kNotStarted = 127;

// In the child of a fork, where other threads' locks may be held: system calls alone. When its
// parent ends, it is told to end what it supervises.
[[noreturn]] void become_supervisor(pid_t parent, int output, const char* cwd, char* const* argv,
                                    char* const* envp) {
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  const int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
  dup2(nothing, STDIN_FILENO);
  dup2(output, STDOUT_FILENO);
  dup2(output, STDERR_FILENO);
  if (getppid() == parent && chdir(cwd) == 0) execve("/proc/self/exe", argv, envp);
  _exit(kNotStarted);
}

pid_t start(const ProgramCall& call) {
  std::vector<std::string> arguments = {"samebits", "supervise", "--"};
  arguments.insert(arguments.end(), call.command.begin(), call.command.end());
  std::vector<std::string> variables = environment_with(call.env);
  const std::vector<char*> argv = pointers_to(arguments);
  const std::vector<char*> envp = pointers_to(variables);
  const std::string cwd = call.cwd.string();
  const FileDescriptor output = open_for_appending(call.output.string(), /*is_new=*/true);
  const pid_t parent = getpid();
  const pid_t process = fork();
  if (process == 0) {
    become_supervisor(parent, output.get(), cwd.c_str(), argv.data(), envp.data());
  }
  if (process < 0) {
    throw RunError(fmt::format("{} does not start: {}", call.command.front(), strerror(errno)));
  }
  return process;
}

bool may_be_executed(const fs::path& file) {
  std::error_code error;
  return fs::is_regular_file(file, error) && access(file.c_str(), X_OK) == 0;
}

double seconds_of(const timeval& time) {
  return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
}

}  // namespace

std::string ProgramEnd::text() const {
  if (is_late) return "was still running after timeout_s";
  constexpr int kSignalled = 128;
  if (code <= kSignalled) return fmt::format("exited with code {}", code);
  const int number = code - kSignalled;
  const char* name = sigabbrev_np(number);
  return name == nullptr ? fmt::format("exited with code {}", code)
                         : fmt::format("was ended by signal {} (SIG{})", number, name);
}

ProgramEnd run_program(const ProgramCall& call, const std::function<void()>& on_second) {
  const Stopwatch clock;
  const pid_t process = start(call);
  // glibc 2.36 declares its pidfd_open() without C linkage.
  const FileDescriptor handle(static_cast<int>(syscall(SYS_pidfd_open, process, 0)));
  ProgramEnd end;
  while (true) {
    pollfd waiting = {handle.get(), POLLIN, 0};
    const double left = std::max(0.0, call.timeout_s - clock.seconds());
    if (poll(&waiting, 1, static_cast<int>(std::min(1.0, left) * 1000) + 1) > 0) break;
    on_second();
    if (end.is_late || clock.seconds() < call.timeout_s) continue;
    end.is_late = true;
    kill(process, SIGTERM);
  }
  int status = 0;
  rusage usage = {};
  wait4(process, &status, 0, &usage);
  end.code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  end.seconds = clock.seconds();
  end.processor_seconds = seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime);
  return end;
}

fs::path find_program(const std::string& program, const fs::path& cwd, const std::string& path) {
  if (program.find('/') != std::string::npos) {
    const fs::path file = cwd / program;
    return may_be_executed(file) ? file : fs::path();
  }
  for (size_t begin = 0; begin <= path.size();) {
    const size_t end = std::min(path.find(':', begin), path.size());
    const fs::path file = cwd / path.substr(begin, end - begin) / program;
    if (may_be_executed(file)) return file;
    begin = end + 1;
  }
  return {};
}

std::string last_lines(const fs::path& file) {
  constexpr size_t kTail = 4096;
  constexpr size_t kLines = 3;
  if (!fs::exists(file)) return "";
  const MappedFile mapped(file.string());
  const size_t size = mapped.bytes().size();
  const auto* bytes = reinterpret_cast<const char*>(mapped.bytes().data());
  const size_t tail = std::min(size, kTail);
  std::istringstream input(std::string(bytes + (size - tail), tail));
  std::vector<std::string> lines;
  for (std::string line; std::getline(input, line);) {
    const char* const kBlank = " \t\r";
    const size_t begin = line.find_first_not_of(kBlank);
    if (begin == std::string::npos) continue;
    lines.push_back(line.substr(begin, line.find_last_not_of(kBlank) + 1 - begin));
  }
  if (lines.size() > kLines) lines.erase(lines.begin(), lines.end() - kLines);
  std::string text;
  for (const std::string& line : lines) {
    text += (text.empty() ? "" : " / ") + shortened(line, /*longest=*/200);
  }
  return text;
}

}  // namespace samebits
