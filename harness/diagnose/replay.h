#pragma once

#include <cstdint>
#include <vector>

#include "harness/case/case.h"
#include "harness/observe/observation.h"
#include "harness/workload/rollouts.h"

// Arms of samebits run again, in this process: what their ranks in processes would do gives the
// same bits. Throws as a run does.
namespace samebits {

// What an arm rolls out in its first steps.
RolloutsByStep rollouts_of(const CaseArm& arm, int64_t steps);

// What an arm observes at level `step` in its first steps.
std::vector<Observation> observations_of(const CaseArm& arm, int64_t steps);

}  // namespace samebits
