#pragma once

#include <ATen/core/Tensor.h>

#include "harness/case/case.h"
#include "harness/observe/tensor_keeper.h"

namespace samebits {

// Runs an arm of this process again at level `op`, up to the step of `place`, and returns the
// tensor that it observed there, on the CPU. Undefined where it cannot be had: of arms in other
// processes, and inside of replays. Throws as Arm does.
at::Tensor keep_tensor(const CaseArm& arm, const ObservationPlace& place);

}  // namespace samebits
