#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "harness/base/json.h"
#include "harness/case/relation.h"

namespace samebits {

// The keys of a relation beside `arms`, `holds` and `reason`, which depend on what holds; and
// whether it must give its reason.
struct BoundKeys {
  std::vector<std::string> keys;
  bool needs_reason;
};
BoundKeys bound_keys(Holds holds, bool is_on_policy);

// Between arms of a case, whose names are `arms`; a file that it names is relative to `folder`.
// Throws InputError, as JsonReader does.
Relation read_relation(const JsonReader& json, const std::vector<std::string>& arms,
                       const std::filesystem::path& folder);
// Between what an arm's generator and its trainer say of the same tokens.
Relation read_on_policy(const JsonReader& json);

Json json_from_relation(const Relation& relation);
// JSON schemas of the two.
Json relation_schema();
Json on_policy_schema();

}  // namespace samebits
