#include "harness/diagnose/commit_search.h"

#include <algorithm>
#include <sstream>
#include <utility>

#include "harness/base/error.h"

namespace samebits {

CommitSearch::CommitSearch(Git git, std::string good, std::string bad)
    : git_(std::move(git)), good_{std::move(good)}, bad_(std::move(bad)) {
  ask();
}

// A line is "HASH (NAMES, dist=N)".
void CommitSearch::ask() {
  std::vector<std::string> arguments = {"rev-list", "--bisect-all", bad_};
  for (const std::string& good : good_) arguments.push_back("^" + good);
  const Git::Answer answer = git_.ask(arguments);
  left_.clear();
  std::istringstream lines(answer.text);
  for (std::string line; std::getline(lines, line);) {
    if (line.ends_with(')')) left_.push_back(line.substr(0, line.find(' ')));
  }
  if (answer.is_good && !left_.empty()) return;
  throw RunError("git rev-list --bisect-all says: " + shortened(answer.text, /*longest=*/200));
}

std::optional<std::string> CommitSearch::next() const {
  const auto is_open = [&](const std::string& commit) {
    return commit != bad_ && std::find(unknown_.begin(), unknown_.end(), commit) == unknown_.end();
  };
  const auto found = std::find_if(left_.begin(), left_.end(), is_open);
  return found == left_.end() ? std::nullopt : std::optional(*found);
}

void CommitSearch::note(const std::string& commit, Answer answer) {
  if (answer == Answer::kUnknown) unknown_.push_back(commit);
  if (answer == Answer::kGood) good_.push_back(commit);
  if (answer == Answer::kBad) bad_ = commit;
  if (answer != Answer::kUnknown) ask();
}

}  // namespace samebits
