#pragma once

#include <cstdint>
#include <string>

#include "harness/observe/arm_recording.h"

// ARM/kept-R.safetensors: the elements of tensors that rank R observed, each under the name of its
// place. The digests of the stream vouch for them.
namespace samebits {

// "STEP OCCURRENCE PHASE SITE"; the occurrence as occurrence_of() counts it.
std::string kept_name(int64_t step, int64_t occurrence, const std::string& phase,
                      const std::string& site);

// Opens what there is of such files in the recording's folder, and lets observations point at
// their elements. Returns what in them is not what the stream observed, in a few words; "" where
// all of it is, or where the recording has not finished. InputError where a file is broken.
std::string attach_kept(ArmRecording& recording);

}  // namespace samebits
