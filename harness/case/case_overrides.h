#pragma once

#include <string>
#include <vector>

#include "harness/base/json.h"

namespace samebits {

// `over` laid upon `base`: objects are merged key by key, everything else is replaced.
void merge_json(Json& base, const Json& over);

// Applies `key=value` and `ARM.key=value` to the JSON of a case. Throws InputError that names the
// override for a key that no case has; values are checked when the case is read.
void apply_overrides(Json& json, const std::vector<std::string>& overrides);

}  // namespace samebits
