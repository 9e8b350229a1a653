#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "harness/case/case.h"
#include "harness/compare/divergence.h"

namespace samebits {

// Whether an arm is on policy: what its generator reported of the tokens that it sampled, against
// what its trainer finds of them. Two arms with the same broken weight sync are equal to each
// other, and not to themselves.
struct OnPolicy {
  struct Step {
    int64_t step = 0;
    int64_t tokens = 0;     // scored by both sides
    int64_t different = 0;  // of them, in any bit
    int64_t nonfinite = 0;  // of them, NaN or infinite on either side
  };

  Relation rule;              // of no arms; kNothing: it is not judged
  bool holds = false;         // also where it is not judged
  PairComparison comparison;  // under the rule; a: the generator's word, b: the trainer's
  std::vector<Step> steps;

  int64_t tokens() const;
  int64_t different() const;
  std::string text() const;  // one sentence
};

// What must hold of an arm: its own key, or else equality to the bit where both sides have
// batch-invariant numerics, and nothing where they have not.
Relation on_policy_rule(const CaseArm& arm);

// Pairs logprob[sample,token] of the phases rollout and train, step by step; of a run that was cut
// off, those of its whole steps. nullopt for a workload that does not train on what it rolled out,
// and for another program whose arm does not ask.
// A recording without a token that both sides scored does not hold.
std::optional<OnPolicy> on_policy_of(const CaseArm& arm, const ArmRecording& recording);

}  // namespace samebits
