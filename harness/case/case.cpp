#include "harness/case/case.h"

#include <algorithm>

#include "harness/base/error.h"
#include "harness/base/json.h"

namespace samebits {
const CaseArm& Case::arm(const std::string& wanted) const {
  std::vector<std::string> names;
  for (const CaseArm& candidate : arms) {
    if (candidate.name == wanted) return candidate;
    names.push_back(candidate.name);
  }
  throw InputError(file.string() + ": arms", "no arm " + quoted(wanted),
                   JsonReader::one_of_text(names, wanted));
}

Case select_arms(const Case& whole, const std::vector<std::string>& names) {
  if (names.empty()) return whole;
  for (const std::string& name : names) whole.arm(name);
  const auto is_kept = [&](const std::string& name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  Case kept = whole;
  std::erase_if(kept.arms, [&](const CaseArm& arm) { return !is_kept(arm.name); });
  for (Relation& relation : kept.relations) {
    std::erase_if(relation.arms, [&](const std::string& name) { return !is_kept(name); });
  }
  std::erase_if(kept.relations, [](const Relation& relation) { return relation.arms.size() < 2; });
  return kept;
}

}  // namespace samebits
