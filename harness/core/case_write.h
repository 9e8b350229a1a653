#pragma once

#include <string>

#include "harness/core/case.h"
#include "harness/core/json.h"

namespace samebits {

// Every setting of an arm as the case file would write it. `model` and `graph` are the paths as
// written there; "": no graph.
Json json_from_arm(const Arm& arm, const std::string& model, const std::string& graph);

Json json_from_relation(const Relation& relation);

}  // namespace samebits
