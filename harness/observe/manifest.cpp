#include "harness/observe/manifest.h"

#include "harness/base/file.h"
#include "harness/base/json_difference.h"
#include "harness/observe/run_files.h"

namespace samebits {
namespace {

constexpr char kName[] = "manifest.json";

Json json_from_arm_entry(const Manifest::ArmEntry& arm) {
  Json json = {{"name", arm.name},
               {"finished", arm.finished},
               {"ranks", arm.ranks},
               {"observations", arm.observations},
               {"seconds", arm.seconds}};
  if (!arm.marker.empty()) json["marker"] = arm.marker;
  if (!arm.commit.empty()) json["commit"] = arm.commit;
  return json;
}

Json json_from_closer(const Manifest::Closer& closer) {
  Json unstable = Json::object();
  for (const auto& [arm, text] : closer.unstable) unstable[arm] = text;
  Json facts = Json::array();
  for (const auto& [fact, text] : closer.facts) facts.push_back(Json::array({fact, text}));
  return {{"a", closer.a},
          {"b", closer.b},
          {"text", closer.text},
          {"facts", std::move(facts)},
          {"unstable", std::move(unstable)}};
}

Manifest::Closer closer_from_json(const JsonReader& json) {
  json.object({"a", "b", "text", "facts", "unstable"});
  Manifest::Closer closer;
  closer.a = json.required("a").string();
  closer.b = json.required("b").string();
  closer.text = json.required("text").string();
  if (auto facts = json.optional("facts")) {  // absent in a run of an earlier version
    for (const JsonReader& each : facts->array()) {
      const std::vector<JsonReader> pair = each.array(2);
      closer.facts.emplace_back(pair[0].string(), pair[1].string());
    }
  }
  const JsonReader unstable = json.required("unstable");
  for (const std::string& arm : unstable.keys()) {
    closer.unstable.emplace_back(arm, unstable.required(arm).string());
  }
  return closer;
}

Json json_from_model(const Manifest::ModelEntry& model) {
  return {{"name", model.name},
          {"parameters", model.parameters},
          {"layers", model.layers},
          {"hidden_size", model.hidden_size}};
}

Manifest::ModelEntry model_from_json(const JsonReader& json) {
  json.object({"name", "parameters", "layers", "hidden_size"});
  Manifest::ModelEntry model;
  model.name = json.required("name").string();
  model.parameters = json.required("parameters").integer(0);
  model.layers = json.required("layers").integer(0);
  model.hidden_size = json.required("hidden_size").integer(0);
  return model;
}

Manifest::ArmEntry arm_entry_from_json(const JsonReader& json) {
  json.object({"name", "finished", "ranks", "observations", "seconds", "witness_failure", "marker",
               "commit"});
  Manifest::ArmEntry arm;
  arm.name = json.required("name").non_empty_string();
  arm.finished = json.required("finished").boolean();
  arm.ranks = json.required("ranks").integer(0);
  arm.observations = json.required("observations").integer(0);
  arm.seconds = json.required("seconds").number_at_least(0);
  if (auto key = json.optional("marker")) arm.marker = key->string();
  if (auto key = json.optional("commit")) arm.commit = key->string();
  return arm;
}

}  // namespace

void write_manifest(const std::filesystem::path& run_folder, const Manifest& manifest) {
  Json environment = Json::object();
  for (const auto& [key, value] : manifest.environment) environment[key] = value;
  Json arms = Json::array();
  for (const Manifest::ArmEntry& arm : manifest.arms) arms.push_back(json_from_arm_entry(arm));
  Json closer = Json::array();
  for (const Manifest::Closer& each : manifest.closer) closer.push_back(json_from_closer(each));
  Json models = Json::array();
  for (const Manifest::ModelEntry& each : manifest.models) models.push_back(json_from_model(each));
  const Json json = {{"format", Manifest::kFormat},
                     {"command", manifest.command},
                     {"case_file", manifest.case_file},
                     {"environment", std::move(environment)},
                     {"case", manifest.settings},
                     {"arms", std::move(arms)},
                     {"verdicts", manifest.verdicts},
                     {"golden", manifest.golden},
                     {"golden_folder", manifest.golden_folder},
                     {"closer", std::move(closer)},
                     {"models", std::move(models)},
                     {"load", {manifest.load_before, manifest.load_after}}};
  const std::string text =
      json.dump(2, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace) + "\n";
  write_text_file((run_folder / kName).string(), text);
}

std::optional<Manifest> read_manifest(const std::filesystem::path& run_folder) {
  const std::filesystem::path file = run_folder / kName;
  if (!std::filesystem::exists(file)) return std::nullopt;
  const Json parsed = read_json_file(file);
  const JsonReader json(parsed, file.string());
  json.object({"format", "command", "case_file", "environment", "case", "arms", "verdicts",
               "golden", "golden_folder", "operators", "closer", "models", "load"});
  json.required("format").integer(1, Manifest::kFormat);
  Manifest manifest;
  manifest.command = json.required("command").string();
  if (auto key = json.optional("case_file")) manifest.case_file = key->string();
  const JsonReader environment = json.required("environment");
  for (const std::string& key : environment.keys()) {
    manifest.environment.emplace_back(key, environment.required(key).string());
  }
  manifest.settings = json.required("case").value();
  for (const JsonReader& arm : json.required("arms").array()) {
    manifest.arms.push_back(arm_entry_from_json(arm));
  }
  manifest.verdicts = json.required("verdicts").value();
  manifest.golden = json.required("golden").value();
  if (auto key = json.optional("operators")) {  // of an earlier version: a sentence each
    for (const JsonReader& line : key->array()) manifest.closer.push_back({.text = line.string()});
  }
  if (auto key = json.optional("golden_folder")) manifest.golden_folder = key->string();
  if (auto key = json.optional("closer")) {
    for (const JsonReader& each : key->array()) manifest.closer.push_back(closer_from_json(each));
  }
  if (auto key = json.optional("models")) {
    for (const JsonReader& each : key->array()) manifest.models.push_back(model_from_json(each));
  }
  if (auto key = json.optional("load")) {
    const std::vector<JsonReader> load = key->array(2);
    manifest.load_before = load[0].number_at_least(0);
    manifest.load_after = load[1].number_at_least(0);
  }
  return manifest;
}

std::string damage_of_case(const std::filesystem::path& run_folder, const Manifest& manifest) {
  const auto difference =
      first_difference(manifest.settings, read_json_file(run_folder / run_files::kCase));
  if (!difference) return "";
  return "case.json is not what was run: " + difference->key + " is " + difference->second +
         ", it was " + difference->first;
}

}  // namespace samebits
