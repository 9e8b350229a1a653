#include "harness/observe/manifest.h"

#include "harness/core/file.h"

namespace samebits {
namespace {

constexpr char kName[] = "manifest.json";

Json json_from_arm_entry(const Manifest::ArmEntry& arm) {
  Json json = {{"name", arm.name},
               {"finished", arm.finished},
               {"ranks", arm.ranks},
               {"observations", arm.observations},
               {"seconds", arm.seconds}};
  if (!arm.witness_failure.empty()) json["witness_failure"] = arm.witness_failure;
  return json;
}

Manifest::ArmEntry arm_entry_from_json(const JsonReader& json) {
  json.object({"name", "finished", "ranks", "observations", "seconds", "witness_failure"});
  Manifest::ArmEntry arm;
  arm.name = json.required("name").non_empty_string();
  arm.finished = json.required("finished").boolean();
  arm.ranks = json.required("ranks").integer(0);
  arm.observations = json.required("observations").integer(0);
  arm.seconds = json.required("seconds").number_at_least(0);
  if (auto key = json.optional("witness_failure")) arm.witness_failure = key->string();
  return arm;
}

}  // namespace

void write_manifest(const std::filesystem::path& run_folder, const Manifest& manifest) {
  Json environment = Json::object();
  for (const auto& [key, value] : manifest.environment) environment[key] = value;
  Json arms = Json::array();
  for (const Manifest::ArmEntry& arm : manifest.arms) arms.push_back(json_from_arm_entry(arm));
  const Json json = {{"format", Manifest::kFormat},
                     {"command", manifest.command},
                     {"environment", std::move(environment)},
                     {"case", manifest.settings},
                     {"arms", std::move(arms)},
                     {"verdicts", manifest.verdicts},
                     {"golden", manifest.golden},
                     {"operators", manifest.operators}};
  const std::string text =
      json.dump(2, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace) + "\n";
  write_text_file((run_folder / kName).string(), text);
}

std::optional<Manifest> read_manifest(const std::filesystem::path& run_folder) {
  const std::filesystem::path file = run_folder / kName;
  if (!std::filesystem::exists(file)) return std::nullopt;
  const Json parsed = read_json_file(file);
  const JsonReader json(parsed, file.string());
  json.object(
      {"format", "command", "environment", "case", "arms", "verdicts", "golden", "operators"});
  json.required("format").integer(Manifest::kFormat, Manifest::kFormat);
  Manifest manifest;
  manifest.command = json.required("command").string();
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
  for (const JsonReader& line : json.required("operators").array()) {
    manifest.operators.push_back(line.string());
  }
  return manifest;
}

}  // namespace samebits
