#pragma once

#include <filesystem>
#include <string>

#include "harness/case/case.h"
#include "harness/observe/tensor_keeper.h"

namespace samebits {

// What looking for one operator alone came to, in the program of an arm that the recorder records.
struct AloneOfProgram {
  bool has_script = false;  // upstream.py and inputs.safetensors are in the folder
  std::string text;         // what the recorder found; or why it was not asked, and how to
};

// Runs the programs of two arms, the first and, where it has no such operator, the other one, under
// `samebits_record --alone` at the place where they differ (docs/recorder.md). What it finds is left
// in `folder`. A command that does not start the recorder as a module cannot be asked: the program
// of a commit, or one that records itself. Nothing that a program does throws.
AloneOfProgram alone_of_programs(const CaseArm& a, const CaseArm& b, const ObservationPlace& place,
                                 const std::filesystem::path& folder);

}  // namespace samebits
