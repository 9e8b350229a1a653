#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "harness/case/setting_differences.h"
#include "harness/compare/divergence.h"
#include "harness/diagnose/rl_phase.h"
#include "harness/observe/arm_recording.h"

// Which part of an RL loop moved, told from what two arms, or the two sides of one, observed.
namespace samebits {

// How a part of the loop compares, over all steps that both arms have.
struct PhaseRow {
  RlPhase phase = RlPhase::kData;
  int64_t compared = 0;                     // observations
  std::optional<Divergence> first = {};     // where it differs first; nullopt: nowhere
  std::optional<bool> replayed_equal = {};  // on the other arm's rollouts; nullopt: not replayed
};

struct Blame {
  std::vector<std::string> arms;  // two, or the one whose sides were compared
  // The part whose inputs agree and whose outputs do not. nullopt: nothing moved, or, of the two
  // sides of an arm, the streams do not say which of them it was.
  std::optional<RlPhase> phase;
  int64_t step = 0;
  std::string where;  // for a person: "step 0, weights, generator.after[norm.weight]: ..."
  // Of two sides of an arm: they differ on equal weights, so that a replay must tell which it was.
  bool is_open = false;
  std::vector<PhaseRow> rows;                              // of two arms, in the loop's order
  std::vector<std::pair<std::string, std::string>> facts;  // for a person

  bool has_moved() const { return phase || is_open; }
};

// Of two arms: the first part, in program order, that differs. All that it takes in was equal, as
// far as it is observed; what of it is not, the settings tell.
Blame blame_pair(const ArmRecording& a, const ArmRecording& b);

// Of the two sides of one arm, whose trainer finds other logprobs than its generator reported: the
// sync, where the two had other weights.
Blame blame_sides(const CaseArm& arm, const ArmRecording& recording);

// The settings in which two arms differ, those of `phase` first.
std::vector<JsonDifference> different_settings(const CaseArm& a, const CaseArm& b,
                                               std::optional<RlPhase> phase);

}  // namespace samebits
