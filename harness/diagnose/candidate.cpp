#include "harness/diagnose/candidate.h"

#include <algorithm>
#include <iterator>

#include "harness/case/case_relation.h"
#include "harness/case/case_write.h"

namespace samebits {
namespace {

// What the relation that failed says about the two arms.
Json relations_of(const Case& c, const CaseFailure& failure) {
  if (failure.arms.size() < 2) return Json::array();
  for (Relation relation : select_arms(c, failure.arms).relations) {
    const bool was_to_diverge = relation.holds == Holds::kMustDiverge;
    if (was_to_diverge != (failure.kind == CaseFailure::Kind::kHolds)) continue;
    relation.arms = failure.arms;
    return Json::array({json_from_relation(relation)});
  }
  return Json::array();
}

}  // namespace

Candidate candidate_of(const Case& c, const CaseFailure& failure) {
  Candidate candidate;
  Json& json = candidate.settings;
  json["name"] = c.name;
  for (const std::string& name : failure.arms) {
    CaseArm arm = c.arm(name);
    arm.checkpoint_every = 0;
    for (std::filesystem::path* path : paths_of(arm)) {
      if (!path->empty()) *path = std::filesystem::absolute(*path).lexically_normal();
    }
    if (!json.contains("model") && !arm.model.empty()) json["model"] = arm.model.string();
    json["arms"][name] = json_from_arm(arm);
  }
  json["relations"] = relations_of(c, failure);
  return candidate;
}

Candidate up_to_failure(Candidate candidate, const CaseFailure& failure) {
  if (failure.kind == CaseFailure::Kind::kHolds) return candidate;
  for (auto& [name, arm] : candidate.settings["arms"].items()) {
    arm["steps"] = std::min(arm.at("steps").get<int64_t>(), failure.step + 1);
  }
  return candidate;
}

Case case_of(const Candidate& candidate, const std::filesystem::path& file) {
  return parse_case(candidate.settings.dump(), file);
}

bool is_group_of_settings(const std::string& key) {
  static const char* const kGroups[] = {"numerics", "mesh",      "workload", "optimizer",
                                        "loss",     "advantage", "repeats",  "log"};
  return std::find(std::begin(kGroups), std::end(kGroups), key) != std::end(kGroups);
}

std::vector<std::string> models_of(const Candidate& candidate) {
  std::vector<std::string> models;
  for (const auto& [name, arm] : candidate.settings.at("arms").items()) {
    if (!arm.contains("model")) continue;
    const std::string model = arm.at("model").get<std::string>();
    if (std::find(models.begin(), models.end(), model) == models.end()) models.push_back(model);
  }
  return models;
}

}  // namespace samebits
