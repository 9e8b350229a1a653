#pragma once

#include <filesystem>

#include "harness/base/json.h"
#include "harness/diagnose/candidate.h"

namespace samebits {

// Writes a candidate as a case that stands alone in `folder`: case.json, the models (cut as it
// asks) and every other file that its arms read, with paths relative to the folder. Throws
// InputError for what cannot be read.
void write_standing_case(const Candidate& candidate, const std::filesystem::path& folder);

// A case as a person would write it: what all arms share stands at the top, defaults nowhere.
Json plain_case(const Json& settings);

}  // namespace samebits
