#pragma once

#include <filesystem>
#include <vector>

#include "harness/capture/guard_record.h"

namespace samebits {

// The guard ledger of a captured arm, as a file of its folder.
void write_guards(const std::filesystem::path& file, const std::vector<GuardRecord>& guards);

// Empty where there is no such file: the arm captures nothing, or was cut off. Throws InputError
// for one that is broken.
std::vector<GuardRecord> read_guards(const std::filesystem::path& file);

}  // namespace samebits
