#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "harness/base/names.h"
#include "harness/observe/observation.h"

namespace samebits {

// The parts of a step of an RL loop, in the order in which they run. Each has all before it, and
// the step before, for its inputs.
enum class RlPhase {
  kData,        // prompts, random numbers, the weights that a run begins with
  kGeneration,  // completions and their logprobs
  kReward,
  kReference,  // logprobs under the first weights
  kRecompute,  // logprobs under the trainer
  kLoss,
  kGradient,
  kOptimizer,
  kSync,  // the trainer's weights on their way to the generator
};

inline const Names<RlPhase>& names_of(RlPhase) {
  static const Names<RlPhase> names = {
      {"prompts and data", RlPhase::kData}, {"generation", RlPhase::kGeneration},
      {"reward", RlPhase::kReward},         {"reference model", RlPhase::kReference},
      {"recompute", RlPhase::kRecompute},   {"loss", RlPhase::kLoss},
      {"gradient", RlPhase::kGradient},     {"optimizer", RlPhase::kOptimizer},
      {"weight sync", RlPhase::kSync}};
  return names;
}

// Which part gave an observation of level `step` (workload/grpo.h has the sites); nullopt of what
// is none of a loop's, as an operator's output.
std::optional<RlPhase> rl_phase_of(const Observation& observation);

// What of rank 0's observations a part gave in a step.
std::vector<Observation> observed_in(const std::vector<Observation>& observations, int64_t step,
                                     RlPhase phase);

// Where a setting of a case acts, "workload.optimizer.lr" in the optimizer; nullopt of one that may
// act anywhere.
std::optional<RlPhase> rl_phase_of_setting(const std::string& key);

}  // namespace samebits
