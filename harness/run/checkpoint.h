#pragma once

#include <cstdint>
#include <filesystem>

#include "harness/case/case.h"
#include "harness/observe/arm_recorder.h"
#include "harness/workload/state.h"

namespace samebits {

// Where an arm keeps what it goes on from (run_files::checkpoint), and how often.
struct Checkpoints {
  std::filesystem::path folder;  // of the arm
  int64_t every = 0;             // steps; 0: never
  int64_t first_step = 0;        // that the arm goes on with; 0: it begins

  bool is_due(int64_t steps_done) const { return every > 0 && steps_done % every == 0; }
};

Checkpoints checkpoints_of(const CaseArm& arm, const ArmRecorder& recorder);

// Writes the state after `step` steps to the disk, and removes the one before. RunError.
void write_checkpoint(const std::filesystem::path& arm_folder, int64_t step, const State& state);

// Throws InputError for a file that is none.
State read_checkpoint(const std::filesystem::path& arm_folder, int64_t step);

}  // namespace samebits
