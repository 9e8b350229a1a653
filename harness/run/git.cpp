#include "harness/run/git.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "harness/base/child_environment.h"
#include "harness/base/error.h"
#include "harness/base/file.h"

namespace samebits {
namespace {

namespace fs = std::filesystem;

// Starts a program without a supervisor, as git starts nothing that outlives it and is asked often.
pid_t start(std::vector<std::string> command, const FileDescriptor& output) {
  std::vector<std::string> variables =
      environment_with({{"GIT_TERMINAL_PROMPT", "0"}, {"LC_ALL", "C"}});
  const std::vector<char*> argv = pointers_to(command);
  const std::vector<char*> envp = pointers_to(variables);
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&files, output.get(), STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&files, output.get(), STDERR_FILENO);
  pid_t process = 0;
  const int error = posix_spawnp(&process, argv.front(), &files, nullptr, argv.data(), envp.data());
  posix_spawn_file_actions_destroy(&files);
  if (error != 0) throw RunError(command.front() + " does not start: " + strerror(error));
  return process;
}

std::string text_from(const FileDescriptor& output) {
  std::string text;
  char buffer[4096];
  while (true) {
    const ssize_t count = read(output.get(), buffer, sizeof buffer);
    if (count > 0) text.append(buffer, static_cast<size_t>(count));
    if (count == 0 || (count < 0 && errno != EINTR)) return text;
  }
}

bool is_hash(const std::string& text) {
  return text.size() >= 40 && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

std::string without_newline(std::string text) {
  while (text.ends_with('\n')) text.pop_back();
  return text;
}

// The last line alone: warnings stand before it.
std::string last_line(const std::string& text) {
  const std::string whole = without_newline(text);
  return whole.substr(whole.rfind('\n') + 1);
}

}  // namespace

Git::Answer Git::ask(const std::vector<std::string>& arguments) const {
  std::vector<std::string> command = {"git", "-C", fs::absolute(folder_).string()};
  command.insert(command.end(), arguments.begin(), arguments.end());
  int ends[2] = {};
  if (pipe2(ends, O_CLOEXEC) != 0) throw RunError(std::string("git: no pipe: ") + strerror(errno));
  const FileDescriptor output(ends[0]);
  FileDescriptor input(ends[1]);
  const pid_t process = start(std::move(command), input);
  input = FileDescriptor();
  Answer answer;
  answer.text = text_from(output);
  int status = 0;
  waitpid(process, &status, 0);
  answer.is_good = WIFEXITED(status) && WEXITSTATUS(status) == 0;
  return answer;
}

std::string Git::commit_of(const std::string& revision, const std::string& where) const {
  const Answer inside = ask({"rev-parse", "--git-dir"});
  if (!inside.is_good) {
    throw InputError(where, folder_.string() + ", of which git says: " + last_line(inside.text),
                     "a folder in a git repository");
  }
  const Answer answer = ask({"rev-parse", "--verify", "--end-of-options", revision + "^{commit}"});
  const std::string hash = last_line(answer.text);
  if (!answer.is_good || !is_hash(hash)) {
    throw InputError(where, quoted(revision), "a commit of " + folder_.string());
  }
  return hash;
}

std::string Git::title_of(const std::string& commit) const {
  const Answer answer = ask({"show", "--no-patch", "--format=%s", commit});
  constexpr size_t kShort = 12;
  return commit.substr(0, kShort) + " " + shortened(last_line(answer.text), /*longest=*/100);
}

void Git::check_out(const std::string& commit, const fs::path& checkout) const {
  const auto require = [&](const Answer& answer) {
    if (answer.is_good) return;
    throw RunError(fmt::format("{} of {} cannot be checked out; git says: {}", commit,
                               folder_.string(), last_line(answer.text)));
  };
  const Answer repository = ask({"rev-parse", "--path-format=absolute", "--git-common-dir"});
  require(repository);
  require(ask({"clone", "--quiet", "--shared", "--no-checkout", last_line(repository.text),
               fs::absolute(checkout).string()}));
  require(Git(checkout).ask({"checkout", "--quiet", "--detach", commit}));
}

}  // namespace samebits
