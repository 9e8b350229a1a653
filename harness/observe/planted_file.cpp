#include "harness/observe/planted_file.h"

#include "harness/base/file.h"
#include "harness/case/case_write.h"
#include "harness/observe/fault_witness.h"
#include "harness/observe/run_files.h"

namespace samebits {
namespace {

PlantedFault planted_from_json(const JsonReader& json) {
  json.object(
      {"arm", "fault", "outcome", "text", "witness", "exact", "named", "detail", "false_alarm"});
  PlantedFault planted;
  planted.arm = json.required("arm").name();
  planted.fault = read_fault(json.required("fault"));
  planted.outcome = json.required("outcome").one_of(names_of(FaultOutcome()));
  planted.text = json.required("text").string();
  if (auto key = json.optional("witness")) planted.witness = witness_from_json(*key);
  if (auto key = json.optional("false_alarm")) planted.false_alarm = key->string();
  if (planted.outcome != FaultOutcome::kCaught) return planted;
  planted.is_exact = json.required("exact").boolean();
  planted.named = json.required("named").string();
  planted.detail = json.required("detail").string();
  return planted;
}

}  // namespace

Json json_from_planted(const PlantedFault& planted) {
  Json json = {{"arm", planted.arm},
               {"fault", json_from_fault(planted.fault)},
               {"outcome", to_string(planted.outcome)},
               {"text", planted.text}};
  if (planted.witness) json["witness"] = json_from_witness(*planted.witness);
  if (planted.outcome == FaultOutcome::kCaught) {
    json["exact"] = planted.is_exact;
    json["named"] = planted.named;
    json["detail"] = planted.detail;
  }
  if (!planted.false_alarm.empty()) json["false_alarm"] = planted.false_alarm;
  return json;
}

void write_planted(const std::filesystem::path& run_folder,
                   const std::vector<PlantedFault>& planted) {
  std::string text = "[";
  for (const PlantedFault& each : planted) {
    text += (text.size() > 1 ? ",\n " : "\n ") + json_from_planted(each).dump();
  }
  write_text_file((run_folder / run_files::kPlanted).string(), text + "\n]\n");
}

std::vector<PlantedFault> read_planted(const std::filesystem::path& run_folder) {
  const std::filesystem::path file = run_folder / run_files::kPlanted;
  return std::filesystem::exists(file) ? read_planted_file(file) : std::vector<PlantedFault>();
}

std::vector<PlantedFault> read_planted_file(const std::filesystem::path& file) {
  std::vector<PlantedFault> planted;
  const Json parsed = read_json_file(file);
  for (const JsonReader& each : JsonReader(parsed, file.string()).array()) {
    planted.push_back(planted_from_json(each));
  }
  return planted;
}

}  // namespace samebits
