#pragma once

#include "harness/base/json.h"
#include "harness/case/case.h"
#include "harness/observe/step_observer.h"

namespace samebits {

// This program and LibTorch, by their bytes or build ids.
Json program_origin();

// What makes a run beside its case, as run.json keeps it: the level, this program and LibTorch by
// their bytes or build ids, every file of a model's folder that a model is read from and every
// saved graph by its bytes. A run is taken up by the same alone. Throws InputError for a model's
// folder or a graph that cannot be read.
Json origin_of(const Case& c, Level level);

}  // namespace samebits
