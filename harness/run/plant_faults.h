#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "harness/observe/planted_file.h"
#include "harness/observe/step_observer.h"
#include "harness/report/record.h"
#include "harness/run/progress.h"

namespace samebits {

struct PlantOptions {
  int64_t count = 0;                   // of faults; 0: none
  uint64_t seed = 0;                   // that they are drawn from
  std::optional<FaultKind> kind = {};  // of this kind alone
  // Of arms by name, instead of faults that are drawn: those of an earlier run.
  std::vector<std::pair<std::string, Fault>> again = {};

  bool is_asked() const { return count > 0 || !again.empty(); }
};

// The arms that faults are planted into: those on CPUs, of no other program, that a relation says
// to be equal in some precision; of ranks in processes, those that are no replicas.
std::vector<CaseArm> arms_to_plant_in(const Case& c);

// Plants faults into these arms of a run that holds, one at a time, each in a run of its arm of its
// own, and asks the verdict of the run at its level, with that arm's recording in the place of the
// one without a fault. A fault that the verdict finds is localised as a divergence of arms is. One
// that it does not find is without effect where every value that the steps observe, and what they
// leave behind, is that of the run without it; else it has escaped.
std::vector<PlantedFault> plant_faults(const RecordedRun& clean, Level level,
                                       const PlantOptions& options, Progress& progress);

}  // namespace samebits
