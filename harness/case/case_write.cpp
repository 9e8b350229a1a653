#include "harness/case/case_write.h"

#include <algorithm>

#include "harness/bits/digest.h"
#include "harness/case/case_keys.h"
#include "harness/case/case_relation.h"
#include "harness/case/fields.h"

namespace samebits {
namespace {

using namespace fields;

template <class T>
Json json_from_fields(T value);

template <class T, class Rule>
Json json_from_value(T& value, const Rule&) {
  return value;
}

Json json_from_value(std::filesystem::path& value, const Path&) { return value.string(); }

Json json_from_value(std::map<std::string, std::string>& value, const Variables&) { return value; }

template <class T>
Json json_from_value(T& value, const Choice<T>& rule) {
  return name_in(rule.names, value);
}

Json json_from_value(std::string& value, const Choice<std::string>&) { return value; }

template <class T>
Json json_from_value(T& value, const Object&) {
  return json_from_fields(value);
}

template <class T, class Rule>
Json json_from_value(std::vector<T>& values, const List<Rule>& rule) {
  Json json = Json::array();
  for (T& value : values) json.push_back(json_from_value(value, rule.element));
  return json;
}

Json json_from_value(SyncSettings& sync, const Sync&) {
  if (sync.is_whole()) return "every";
  if (!sync.is_on) return "never";
  if (sync.late > 0) return {{"late", sync.late}};
  return {{"except", sync.except}};
}

Json json_from_value(std::optional<Relation>& relation, const OnPolicy&) {
  if (!relation) return nullptr;
  Json json = json_from_relation(*relation);
  json.erase("arms");
  return json;
}

// The arm's own keys say the rest of its generator.
Json json_from_value(SideSettings& side, const Side& rule) {
  const std::string mode = name_in(rule.modes.names, side.execution);
  Json json = {{"mode", mode}};
  if (!rule.is_generator && side.guards != rule.guards) json["guards"] = to_string(side.guards);
  if (!rule.is_generator && !side.passes.empty()) {
    json["passes"] = json_from_value(side.passes, passes_rule());
  }
  if (!rule.is_generator && !side.buckets.empty()) json["buckets"] = side.buckets;
  if (side.dynamic) json["dynamic"] = *side.dynamic;
  if (!side.traced_at.empty()) json["traced_at"] = side.traced_at;
  if (!side.package.empty()) json["package"] = side.package.string();
  if (side.numerics) json["numerics"] = json_from_fields(*side.numerics);
  return json.size() == 1 ? Json(mode) : json;
}

struct FieldWriter {
  Json json = Json::object();
  template <class T, class Rule>
  void operator()(const Field& field, T& value, const Rule& rule) {
    json[field.key] = json_from_value(value, rule);
  }
};

template <class T>
Json json_from_fields(T value) {
  FieldWriter written, by_default;
  T defaults;
  visit_fields(written, value);
  visit_fields(by_default, defaults);
  for (const Field& field : fields_of<T>()) {
    const bool is_default = written.json[field.key] == by_default.json[field.key];
    if ((field.traits & kLater) && is_default) written.json.erase(field.key);
  }
  return written.json;
}

}  // namespace

Json json_from_arm(const CaseArm& arm) {
  Json json = json_from_fields(arm);
  if (!arm.is_program()) return json;
  Json kept = Json::object();
  for (const auto& [key, value] : json.items()) {
    const auto& keys = program_keys();
    if (std::find(keys.begin(), keys.end(), key) != keys.end()) kept[key] = value;
  }
  return kept;
}

Json json_from_fault(const Fault& fault) { return json_from_fields(fault); }

std::string canonical_json(const Case& c) {
  Json json = {{"name", c.name}};
  if (!c.model.empty()) json["model"] = c.model;
  if (c.requires_golden) json["golden"] = "required";
  Json& arms = json["arms"] = Json::object();
  for (const CaseArm& arm : c.arms) arms[arm.name] = Json::parse(arm.canonical);
  Json& relations = json["relations"] = Json::array();
  for (const Relation& relation : c.relations) relations.push_back(json_from_relation(relation));
  return json.dump(2);
}

std::string deciding_settings(const std::string& canonical) {
  Json settings = Json::parse(canonical);
  for (const char* key :
       {"steps", "timeout_s", "checkpoint_every", "nonfinite", "on_policy", "repeats", "keep"}) {
    settings.erase(key);
  }
  const auto is_contract = [](const Json& numerics) {
    return numerics.value("batch_invariant", true) &&
           numerics.value("attention", "flash") == "flash";
  };
  bool is_contracted = is_contract(settings["numerics"]);
  for (const char* key : {"generator", "trainer"}) {
    const Json& side = settings[key];
    if (!side.is_object() || !side.contains("numerics")) continue;
    is_contracted = is_contracted && is_contract(side.at("numerics"));
  }
  if (is_contracted) {
    settings.erase("device");
    if (settings.contains("mesh")) {
      settings["mesh"]["kind"] = "local";
      settings["mesh"].erase("dp");
      settings["mesh"].erase("optimizer_state");
    }
    settings["workload"].erase("max_train_tokens");
  }
  return settings.dump();
}

std::string settings_digest(const CaseArm& arm) { return digest_of_settings(arm.canonical); }

std::string digest_of_settings(const std::string& canonical) {
  const std::string text = deciding_settings(canonical);
  const int64_t shape[] = {static_cast<int64_t>(text.size())};
  return digest_of(Dtype::uint8, shape, text.data()).hex();
}

}  // namespace samebits
