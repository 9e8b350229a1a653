#pragma once

#include <string>
#include <vector>

#include "harness/observe/arm_recording.h"

namespace samebits {

// What a golden keeps of a recording: its level-step observations, of rank 0, since all ranks see
// the same (evidence.h), where runs of indexed sites (`logprob[0,0]`, `logprob[0,1]`, ...) become
// one `logprob[*]` over their digests.
std::vector<Observation> condense(const ArmRecording& recording);

// The digest of a list of digests, in their order.
Digest digest_of_digests(const std::vector<Digest>& digests);

// Why a stream must not become golden: no observations, NaN or infinite values, a constant loss, a
// gradient norm of zero, a step whose completions are all empty. "" for a good one.
std::string degeneracy(const std::vector<Observation>& observations);

}  // namespace samebits
