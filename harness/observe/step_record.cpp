#include "harness/observe/step_record.h"

#include <algorithm>

#include "harness/base/file.h"
#include "harness/base/json.h"
#include "harness/observe/fault_witness.h"

namespace samebits {
namespace {

// One entry a phase, where a step enters one more than once.
std::vector<PhaseCost> phases_of(const StepRecord& record) {
  std::vector<PhaseCost> phases;
  for (const PhaseCost& cost : record.phases) {
    const auto at = std::find_if(phases.begin(), phases.end(),
                                 [&](const PhaseCost& each) { return each.phase == cost.phase; });
    if (at == phases.end()) {
      phases.push_back(cost);
      continue;
    }
    at->seconds += cost.seconds;
    at->processor_seconds += cost.processor_seconds;
    at->peak_bytes = std::max(at->peak_bytes, cost.peak_bytes);
  }
  return phases;
}

Json json_from_cost(const ObservationCost& cost) {
  return {{"level", to_string(cost.level)},
          {"observations", cost.observations},
          {"seconds", cost.seconds},
          {"processor_seconds", cost.processor_seconds},
          {"peak_bytes", cost.peak_bytes}};
}

ObservationCost cost_from_json(const JsonReader& json) {
  json.object({"level", "observations", "seconds", "processor_seconds", "peak_bytes"});
  return {.level = json.required("level").one_of(names_of(Level())),
          .observations = json.required("observations").integer(0),
          .seconds = json.required("seconds").number_at_least(0),
          .processor_seconds = json.required("processor_seconds").number_at_least(0),
          .peak_bytes = json.required("peak_bytes").integer(0)};
}

}  // namespace

std::string line_from_step_record(const StepRecord& record) {
  Json phases = Json::object();
  for (const PhaseCost& cost : phases_of(record)) {
    phases[cost.phase] = {{"seconds", cost.seconds},
                          {"processor_seconds", cost.processor_seconds},
                          {"peak_bytes", cost.peak_bytes}};
  }
  Json witness = Json::object();
  for (const auto& [name, count] : record.witness) witness[name] = count;
  Json json = {{"step", record.step},
               {"phases", std::move(phases)},
               {"witness", std::move(witness)},
               {"completion", record.completion}};
  if (record.is_resumed) json["resumed"] = true;
  if (record.observation) json["observation"] = json_from_cost(*record.observation);
  if (record.planted) json["planted"] = json_from_witness(*record.planted);
  // A completion may end inside a character: its last token carried only the first bytes.
  return json.dump(-1, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace);
}

StepRecord step_record_from_line(std::string_view line, const std::string& where) {
  const Json parsed = parse_json_line(line, where);
  const JsonReader json(parsed, where);
  json.object({"step", "phases", "witness", "completion", "resumed", "observation", "planted"});
  StepRecord record;
  record.step = json.required("step").integer(0);
  const JsonReader phases = json.required("phases");
  for (const std::string& name : phases.keys()) {
    const JsonReader cost = phases.required(name);
    cost.object({"seconds", "processor_seconds", "peak_bytes"});
    PhaseCost& phase = record.phases.emplace_back();
    phase.phase = name;
    phase.seconds = cost.required("seconds").number_at_least(0);
    if (auto key = cost.optional("processor_seconds")) {
      phase.processor_seconds = key->number_at_least(0);
    }
    phase.peak_bytes = cost.required("peak_bytes").integer(0);
  }
  const JsonReader witness = json.required("witness");
  for (const std::string& name : witness.keys()) {
    record.witness.emplace_back(name, witness.required(name).integer(0));
  }
  record.completion = json.required("completion").string();
  if (auto key = json.optional("resumed")) record.is_resumed = key->boolean();
  if (auto key = json.optional("observation")) record.observation = cost_from_json(*key);
  if (auto key = json.optional("planted")) record.planted = witness_from_json(*key);
  return record;
}

std::vector<StepRecord> read_step_records(const std::filesystem::path& file) {
  std::vector<StepRecord> records;
  if (!std::filesystem::exists(file)) return records;
  const std::string text = read_text_file(file.string());
  size_t begin = 0;
  for (size_t end; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1) {
    const std::string where = file.string() + ": line " + std::to_string(records.size() + 1) +
                              " (byte " + std::to_string(begin) + ")";
    records.push_back(
        step_record_from_line(std::string_view(text).substr(begin, end - begin), where));
  }
  return records;
}

}  // namespace samebits
