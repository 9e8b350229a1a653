#pragma once

#include <cstdint>
#include <vector>

#include "harness/case/case.h"
#include "harness/observe/times_file.h"
#include "harness/run/progress.h"

namespace samebits {

// The arms that time_arms() can run: those of this process, of two steps or more.
std::vector<const CaseArm*> arms_to_time(const Case& c);

// Runs them again for the clock alone, `rounds` times each, at level `none`. Every round runs every arm once and begins with another one, so that what drifts
// (clocks, caches, neighbours) drifts for all; the first step of each, which also traces and
// captures, is not counted.
std::vector<TimedRun> time_arms(const Case& c, int64_t rounds, Progress& progress);

}  // namespace samebits
