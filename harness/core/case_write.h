#pragma once

#include <string>

#include "harness/core/case.h"
#include "harness/core/json.h"

namespace samebits {

// Every setting of an arm as the case file would write it. `model` is the folder as written there.
Json json_from_arm(const Arm& arm, const std::string& model);

Json json_from_relation(const Relation& relation);

}  // namespace samebits
