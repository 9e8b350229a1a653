#pragma once

#include <string>
#include <utility>
#include <vector>

#include "harness/case/case.h"
#include "harness/observe/arm_recording.h"
#include "harness/run/keep_tensor.h"

namespace samebits {

// The first token that two arms chose otherwise in a step, as text, and what each says of its own
// word: "token", "logprobs", in that order. Where all tokens are equal, the first one that they
// score otherwise; nothing where there is none. `a` and `b`: what the arms kept of that step, of
// which the recordings are.
std::vector<std::pair<std::string, std::string>> first_token_difference(
    const CaseArm& arm_a, const CaseArm& arm_b, const Kept& a, const Kept& b, int64_t step,
    const ArmRecording& recorded_a, const ArmRecording& recorded_b);

}  // namespace samebits
