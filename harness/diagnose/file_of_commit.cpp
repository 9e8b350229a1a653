#include "harness/diagnose/file_of_commit.h"

#include "harness/base/file.h"
#include "harness/run/program_run.h"

namespace samebits {

std::optional<std::string> file_of_commit(const std::filesystem::path& file,
                                          const std::string& commit,
                                          const std::filesystem::path& scratch) {
  constexpr double kSeconds = 60;
  std::filesystem::remove(scratch);
  const std::string name = commit + ":./" + file.filename().string();
  const ProgramEnd end = run_program({.command = {"git", "show", name},
                                      .env = {{"GIT_TERMINAL_PROMPT", "0"}},
                                      .cwd = std::filesystem::absolute(file).parent_path(),
                                      .output = scratch,
                                      .timeout_s = kSeconds},
                                     [] {});
  if (!end.is_good()) return std::nullopt;
  return read_text_file(scratch.string());
}

}  // namespace samebits
