#include "harness/diagnose/standing_case.h"

#include <algorithm>
#include <map>

#include "harness/base/file.h"
#include "harness/case/case_keys.h"
#include "harness/case/case_overrides.h"
#include "harness/case/case_write.h"
#include "harness/diagnose/model_cut.h"

namespace samebits {
namespace {

namespace fs = std::filesystem;

// What all of `arms` have in common.
Json shared_by(const std::vector<Json>& arms) {
  Json shared = Json::object();
  for (const auto& [key, value] : arms.front().items()) {
    const std::string& name = key;
    const bool is_everywhere =
        std::all_of(arms.begin(), arms.end(), [&](const Json& arm) { return arm.contains(name); });
    if (!is_everywhere) continue;
    if (is_group_of_settings(key)) {
      std::vector<Json> groups;
      for (const Json& arm : arms) groups.push_back(arm.at(name));
      Json inner = shared_by(groups);
      if (!inner.empty()) shared[key] = std::move(inner);
    } else if (std::all_of(arms.begin(), arms.end(), [&](const Json& arm) {
                 return arm.at(name) == arms.front().at(name);
               })) {
      shared[key] = value;
    }
  }
  return shared;
}

// `settings` without what `base` says already.
Json beyond(const Json& settings, const Json& base) {
  Json rest = Json::object();
  for (const auto& [key, value] : settings.items()) {
    const bool is_in_base = base.is_object() && base.contains(key);
    if (is_group_of_settings(key)) {
      Json inner = beyond(value, is_in_base ? base.at(key) : Json::object());
      if (!inner.empty()) rest[key] = std::move(inner);
    } else if (!is_in_base || base.at(key) != value) {
      rest[key] = value;
    }
  }
  return rest;
}

Json only_keys_of_cases(const Json& settings) {
  Json kept = Json::object();
  for (const auto& [key, value] : settings.items()) {
    const auto& keys = case_keys();
    if (std::find(keys.begin(), keys.end(), key) != keys.end()) kept[key] = value;
  }
  return kept;
}

// Copies files and models into a folder, each once, and says where.
class Copies {
 public:
  Copies(fs::path folder, const Json& model_sizes)
      : folder_(std::move(folder)), model_sizes_(model_sizes) {}

  std::string of_model(const std::string& from) {
    return copy(from, "model",
                [&](const fs::path& to) { write_cut_model(from, model_sizes_, to); });
  }
  std::string of_file(const std::string& from) {
    const fs::path name = fs::path(from).filename();
    return copy(
        from, name.stem().string(), [&](const fs::path& to) { fs::copy(from, to); },
        name.extension().string());
  }

 private:
  template <typename Write>
  std::string copy(const std::string& from, const std::string& stem, const Write& write,
                   const std::string& extension = "") {
    const auto known = names_.find(from);
    if (known != names_.end()) return known->second;
    std::string name = stem + extension;
    for (int number = 2; fs::exists(folder_ / name); ++number) {
      name = stem + "-" + std::to_string(number) + extension;
    }
    write(folder_ / name);
    names_[from] = name;
    return name;
  }

  fs::path folder_;
  const Json& model_sizes_;
  std::map<std::string, std::string> names_;
};

void copy_file_at(Json& json, const char* key, Copies& copies) {
  if (json.is_object() && json.contains(key)) {
    json[key] = copies.of_file(json.at(key).get<std::string>());
  }
}

}  // namespace

Json plain_case(const Json& settings) {
  std::vector<Json> arms;
  for (const auto& [name, arm] : settings.at("arms").items()) arms.push_back(arm);
  Json base = json_from_arm(CaseArm());
  const Json top = only_keys_of_cases(beyond(shared_by(arms), base));
  merge_json(base, top);
  Json plain = {{"name", settings.at("name")}};
  if (settings.contains("model")) plain["model"] = settings.at("model");
  plain.update(top);
  if (plain.contains("model")) base["model"] = plain.at("model");
  for (const auto& [name, arm] : settings.at("arms").items())
    plain["arms"][name] = beyond(arm, base);
  plain["relations"] = settings.at("relations");
  return plain;
}

void write_standing_case(const Candidate& candidate, const fs::path& folder) {
  Json settings = candidate.settings;
  Copies copies(folder, candidate.model_sizes);
  for (auto& [name, arm] : settings["arms"].items()) {
    if (arm.contains("model")) arm["model"] = copies.of_model(arm.at("model").get<std::string>());
    copy_file_at(arm, "graph", copies);
    copy_file_at(arm["workload"], "tokens", copies);
    for (const char* side : {"generator", "trainer"}) {
      if (arm.contains(side)) copy_file_at(arm[side], "package", copies);
    }
    if (arm["workload"].is_null()) arm.erase("workload");
  }
  if (settings.contains("model")) {
    settings["model"] = copies.of_model(settings.at("model").get<std::string>());
  }
  write_text_file((folder / "case.json").string(), plain_case(settings).dump(2) + "\n");
}

}  // namespace samebits
