#pragma once

#include <vector>

#include "harness/base/json_difference.h"
#include "harness/case/case.h"

namespace samebits {

// The settings in which two arms differ, by key, apart from how long they may run and what is asked
// of each by itself.
std::vector<JsonDifference> setting_differences(const CaseArm& a, const CaseArm& b);

}  // namespace samebits
