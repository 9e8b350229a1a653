#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "harness/case/case.h"
#include "harness/observe/observation.h"

namespace samebits {

// Something that a training step should move and that did not move, in one step or in several. A
// run whose steps are copies of each other proves no more than its first step does.
struct RepeatedStep {
  std::string what;   // "weights", "rollouts", "rewards", "draws"
  int64_t first = 0;  // the first step that repeats the one before
  int64_t times = 0;
  int64_t steps = 0;      // that could have repeated it
  std::string accepted;   // why the case wants it; "" where it does not say
  bool is_fault = false;  // neither accepted nor possible by chance

  std::string text() const;  // "the rollouts of step 1 are those of step 0 (9 of 9 steps)"
};

// Of a workload that trains; others have none. Weights of step 0 are held against those that the
// generator began with. Rewards may be equal by chance, so they are told and are no fault; draws
// that workload.draws asks to be the same are none either.
std::vector<RepeatedStep> repeated_steps(const CaseArm& arm,
                                         const std::vector<Observation>& observations);

}  // namespace samebits
