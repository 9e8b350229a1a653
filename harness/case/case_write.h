#pragma once

#include "harness/base/json.h"
#include "harness/case/case.h"

namespace samebits {

// Every setting of an arm as the case file would write it, its paths as they stand in `arm`.
Json json_from_arm(const CaseArm& arm);

// A planted fault as the key `plant` of an arm, and back; InputError.
Json json_from_fault(const Fault& fault);
Fault read_fault(const JsonReader& json);

}  // namespace samebits
