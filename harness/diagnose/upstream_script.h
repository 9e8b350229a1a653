#pragma once

#include <filesystem>

#include "harness/case/case.h"
#include "harness/observe/tensor_keeper.h"

namespace samebits {

// Where stock torch has the operator at whose output two arms differ: upstream.py, which runs it in
// a few lines and says which arm gave its bits, and inputs.safetensors with what it takes and what
// both arms gave. False, with nothing written, where torch has no such operator by itself, where an
// arm's tensors cannot be had (of other processes), and after the first step, whose weights are no
// longer those of the checkpoint. Throws as a run does.
bool write_upstream_script(const CaseArm& a, const CaseArm& b, const ObservationPlace& place,
                           const std::filesystem::path& folder);

}  // namespace samebits
