#include "harness/run/checkouts.h"

#include <fmt/format.h>

#include <algorithm>

#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/base/stopwatch.h"
#include "harness/observe/run_files.h"
#include "harness/run/git.h"
#include "harness/run/program_arm.h"
#include "harness/run/program_call.h"

namespace samebits {
namespace {

namespace fs = std::filesystem;

void build(const CaseArm& arm, const fs::path& output, Progress& progress) {
  const Stopwatch clock;
  fs::remove(output);
  const ProgramEnd end = run_program(build_call_of(arm, output), [&] {
    progress.show_briefly(
        fmt::format("{}: building its commit, {:.0f} s", arm.name, clock.seconds()));
  });
  if (end.is_good()) return;
  const std::string last = last_lines(output);
  throw RunError(fmt::format("arm {}: the build of {}, {}, {}; {}", arm.name, arm.program.commit,
                             arm.program.build.front(), end.text(),
                             last.empty()
                                 ? "it printed nothing"
                                 : fmt::format("the end of {}: {}", output.string(), last)));
}

}  // namespace

std::string commit_of(const CaseArm& arm) {
  return Git(arm.program.repository).commit_of(arm.program.commit, "arm " + arm.name + ": commit");
}

Checkouts::Checkouts(const Case& c, const fs::path& folder, Progress& progress)
    : folder_(folder / run_files::kCheckouts) {
  try {
    for (const CaseArm& arm : c.arms) {
      if (arm.program.is_of_commit()) check_out(arm, progress);
    }
  } catch (...) {
    std::error_code ignored;
    fs::remove_all(folder_, ignored);
    throw;
  }
}

Checkouts::~Checkouts() {
  std::error_code ignored;
  fs::remove_all(folder_, ignored);
}

void Checkouts::check_out(const CaseArm& arm, Progress& progress) {
  const fs::path checkout = checkout_of(arm.name);
  make_folder(folder_);
  const std::string commit = commit_of(arm);
  progress.show(fmt::format("{}: commit {}", arm.name, commit));
  Git(arm.program.repository).check_out(commit, checkout);
  commits_[arm.name] = commit;
  CaseArm placed_arm = arm;
  placed_arm.program.checkout = checkout;
  if (!arm.program.build.empty()) {
    build(placed_arm, run_files::build_output(folder_.parent_path(), arm.name), progress);
  }
  check_program(placed_arm);
}

Case Checkouts::placed(Case c) const {
  for (CaseArm& arm : c.arms) {
    if (commits_.contains(arm.name)) arm.program.checkout = checkout_of(arm.name);
  }
  return c;
}

std::string Checkouts::commit(const std::string& arm) const {
  const auto found = commits_.find(arm);
  return found == commits_.end() ? "" : found->second;
}

fs::path Checkouts::checkout_of(const std::string& arm) const {
  return fs::absolute(folder_ / arm);
}

}  // namespace samebits
