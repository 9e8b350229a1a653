#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "harness/case/case.h"
#include "harness/observe/step_observer.h"
#include "harness/report/record.h"
#include "harness/run/plant_faults.h"
#include "harness/run/progress.h"
#include "harness/run/rank_environment.h"

namespace samebits {

// What is done with a folder that holds a run.
enum class Existing { kRefuse, kResume, kReplace };

struct RunOptions {
  std::filesystem::path out;     // the run's folder
  std::filesystem::path golden;  // folder of blessed streams
  Level level = Level::kStep;
  Existing existing = Existing::kRefuse;
  int64_t repeat = 0;   // rounds for the clock alone (time_arms.h), after all comparisons
  PlantOptions plant;   // faults that are planted where the run holds, after all comparisons
  std::string command;  // as typed, for the manifest
  // Of a process that a launcher started as rank 0 of several: arms in processes run in those.
  std::optional<RankEnvironment> launched = {};
};

// Runs the arms of a case, compares them with each other and with their goldens, looks closer at
// what failed, and leaves its reports and the manifest in the run's folder. What can be refused
// (InputError) is refused before the first arm runs and before anything is written.
ReportRecord run_case(const Case& c, const RunOptions& options, Progress& progress);

}  // namespace samebits
