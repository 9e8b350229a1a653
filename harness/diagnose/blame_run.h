#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "harness/diagnose/blame.h"
#include "harness/run/progress.h"

namespace samebits {

struct BlameOptions {
  std::filesystem::path run;
  std::vector<std::string> arms = {};  // two for a pair, one for its sides; none: whatever moved
  // Where replays leave the rollouts that they are given, as rollouts-ARM.json; "": nothing is
  // replayed, and the streams alone are asked.
  std::filesystem::path out = {};
};

// What moved in a run of an RL loop: of each pair of arms that a relation compares, and of each arm
// whose generator and trainer part. Wanted differences are told like others. Replays confirm it:
// the second arm of a pair on the first one's rollouts; and of two sides with the same weights a
// third, plain one decides which of them is right. Throws InputError for a folder that holds no
// such run, and as a run does.
std::vector<Blame> blame_run(const BlameOptions& options, Progress& progress);

// For a person, some lines each.
std::string text_of(const Blame& blame);

}  // namespace samebits
