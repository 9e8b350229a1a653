#pragma once

#include <string>
#include <vector>

#include "harness/diagnose/reduce_run.h"

namespace samebits {

// What a candidate is made of, for a person, by name: "steps": "1".
std::vector<std::pair<std::string, std::string>> sizes_of(const Candidate& candidate);

// The page of a folder that stands alone: what fails, how to see it, what was made smaller, with
// which versions.
std::string reduced_readme(const ReducedRun& run);

// Title and text for a tracker. `case_text`: case.json of the folder.
std::string reduced_issue(const ReducedRun& run, const std::string& case_text);

}  // namespace samebits
