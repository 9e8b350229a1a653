#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <vector>

#include "harness/case/case.h"
#include "harness/observe/tensor_keeper.h"

namespace samebits {

// Runs the program of an arm again at level `op`, and returns the bytes of the tensor that its rank
// `rank` observed at `place`. Empty where the program is not told {keep}, failed, or kept nothing.
// What it writes goes into the arm's folder `folder`, and is removed again.
std::vector<std::byte> keep_of_program(const CaseArm& arm, const ObservationPlace& place,
                                       int64_t rank, const std::filesystem::path& folder);

}  // namespace samebits
