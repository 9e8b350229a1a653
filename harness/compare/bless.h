#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "harness/case/case.h"
#include "harness/compare/golden_file.h"
#include "harness/observe/arm_recording.h"

namespace samebits {

// Makes the streams of a run golden, one for the arms that a relation ties to the bit, except those
// of arms on plain LibTorch kernels, whose bits are the machine's own. Everything is checked before
// the first file is written; a golden that was cut off as it was written is blessed again.
// Returns one line a golden: what is new, unchanged, or changed and where first. Throws InputError
// for a case without an arm that could be golden, an arm that has not finished or proves nothing
// (evidence.h), a relation that does not hold, a degenerate stream, and a change without a reason.
std::vector<std::string> bless(const std::filesystem::path& golden_folder, const Case& c,
                               const std::vector<ArmRecording>& recordings,
                               const Provenance& provenance);

}  // namespace samebits
