#pragma once

#include <optional>
#include <string>
#include <vector>

#include "harness/base/json.h"

namespace samebits {

// Where two JSON values differ.
struct JsonDifference {
  std::string key;    // "workload.optimizer.lr"; "" at the top
  std::string first;  // what stands there, as JSON, shortened (of long lists to where they differ);
                      // "nothing" where there is none
  std::string second;
};

// Every key, in the order of the first and then of the second.
std::vector<JsonDifference> differences(const Json& first, const Json& second);

std::optional<JsonDifference> first_difference(const Json& first, const Json& second);

}  // namespace samebits
