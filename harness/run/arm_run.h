#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "harness/case/case.h"
#include "harness/observe/arm_recording.h"
#include "harness/plant/planter.h"
#include "harness/run/progress.h"
#include "harness/workload/state.h"

namespace samebits {

// A run of one arm at level `op`, to its end or to where it broke.
struct ArmRun {
  ArmRecording recording;
  std::string broke;                    // why it did not come to its end; "" where it did
  std::optional<FaultWitness> witness;  // of the fault that the arm plants, where it was executed
  State state;                          // after its last step; empty of ranks in processes
};

// Runs an arm of this process in memory. `counting`, borrowed, may be null: counts its operators.
ArmRun run_in_memory(const CaseArm& arm, Planter* counting = nullptr);

// Runs an arm of `c` whose ranks are processes, as `arm` says, in `folder`, which is removed again.
ArmRun run_in_processes(const Case& c, const CaseArm& arm, const std::filesystem::path& folder,
                        Progress& progress);

}  // namespace samebits
