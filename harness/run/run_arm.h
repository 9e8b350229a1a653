#pragma once

#include "harness/case/case.h"
#include "harness/observe/arm_recorder.h"
#include "harness/observe/step_observer.h"
#include "harness/run/progress.h"
#include "harness/run/rank_pool.h"

namespace samebits {

// Runs an arm (arm.h) from its first step to its last, into `recorder`. The arm's `timeout_s` ends
// the process (watchdog.h).
// `launched`: ranks that a launcher started, or null (ranks_arm.h).
void run_arm(const CaseArm& settings, Level level, ArmRecorder& recorder, Progress& progress,
             RankPool* launched = nullptr);

}  // namespace samebits
