#pragma once

#include "harness/detect/subject.h"
#include "harness/workload/settings.h"

namespace samebits {

// A step of an arm's generator, as something for the detectors to run: one sequence's prefill into
// pages, all logits, by the arm's model, mesh and numerics. Its one symbol is the number of tokens,
// traced at an even one and served at every one from 1 to 2 n + 1, n the TP degree or 3, whichever
// is more, and at 33 and 64. The subject owns the model and the cache. Throws InputError as
// make_model() does.
Subject subject_of_arm(const ArmSettings& arm);

}  // namespace samebits
