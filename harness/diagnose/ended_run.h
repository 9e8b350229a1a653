#pragma once

#include <filesystem>
#include <vector>

#include "harness/base/json.h"
#include "harness/case/case.h"
#include "harness/observe/arm_recording.h"

namespace samebits {

// A run that has ended, opened to be looked into.
struct EndedRun {
  std::filesystem::path folder;
  Case settings;                         // its paths are those of the file that it was read from
  std::vector<ArmRecording> recordings;  // one an arm, in the case's order
  Json origin;                           // run.json
};

// Throws InputError for a folder that holds no run, for a run that was cut off or was changed
// since, and where a model, a graph or a file of tokens is no longer what ran.
EndedRun open_ended_run(const std::filesystem::path& folder);

}  // namespace samebits
