#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "harness/observe/observation.h"

namespace samebits {

// How far the logprobs that an arm's generator reported lie from its trainer's, over a whole run.
// Bit-exact numerics leave none, whichever side is captured.
struct LogprobGap {
  int64_t tokens = 0;     // scored by both phases
  int64_t different = 0;  // of them
  uint64_t max_ulp = 0;   // the largest distance, where it is a number
};

// Pairs logprob[sample,token] of the phases rollout and train, step by step. nullopt where an arm
// has not both.
std::optional<LogprobGap> logprob_gap(const std::vector<Observation>& observations);

}  // namespace samebits
