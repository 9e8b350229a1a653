#pragma once

#include "harness/base/names.h"

namespace samebits {

// How much is observed: `none` nothing, of runs for the clock alone; `step` what a workload tells of
// itself; `op` also every value that the model marks, which is the output of each of its operators.
enum class Level { kNone, kStep, kOp };

inline const Names<Level>& names_of(Level) {
  static const Names<Level> names = {
      {"none", Level::kNone}, {"step", Level::kStep}, {"op", Level::kOp}};
  return names;
}

}  // namespace samebits
