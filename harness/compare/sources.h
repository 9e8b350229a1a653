#pragma once

#include <filesystem>
#include <string>

#include "harness/compare/divergence.h"

namespace samebits {

// The lines of two recorded programs behind the place where they part, for a person:
// "models/qwen3.py:231 in forward", and where both noted one and they differ, "...; of the second
// ...". "" where no recorder noted one. InputError where a recorder's file is broken.
std::string sources_of(const std::filesystem::path& folder_a, const std::filesystem::path& folder_b,
                       const Divergence& divergence);

}  // namespace samebits
