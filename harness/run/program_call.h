#pragma once

#include <filesystem>
#include <string>

#include "harness/case/case.h"
#include "harness/observe/step_observer.h"
#include "harness/run/program_run.h"
#include "harness/run/progress.h"

namespace samebits {

// What an arm's program is told for one run, for the words of ProgramSettings.
struct ProgramTold {
  std::filesystem::path out;  // {out}, absolute
  Level level = Level::kStep;
  std::string keep;              // {keep}: a place, or "/EXPRESSION/"; "": none
  std::filesystem::path output;  // a new file: what it prints
};

ProgramCall call_of(const CaseArm& arm, const ProgramTold& told);

// Of what builds an arm's commit, in its checkout. `output` as above.
ProgramCall build_call_of(const CaseArm& arm, const std::filesystem::path& output);

}  // namespace samebits
