#pragma once

#include <string>

#include "harness/base/json.h"
#include "harness/case/case.h"

namespace samebits {

// An arm's paths as the case file writes them; "" for one that it has not.
struct WrittenPaths {
  std::string model;
  std::string graph;
  std::string tokens;
};

// Every setting of an arm as the case file would write it.
Json json_from_arm(const Arm& arm, const WrittenPaths& paths);

Json json_from_relation(const Relation& relation);

}  // namespace samebits
