#include "harness/report/writers.h"

namespace samebits {
namespace {

Json pace_json(const ReportRecord::ArmRecord& arm) {
  if (!arm.change.is_known) return nullptr;
  return {{"steps", arm.pace.steps},     {"mean", arm.pace.mean}, {"deviation", arm.pace.deviation},
          {"factor", arm.change.factor}, {"low", arm.change.low}, {"high", arm.change.high}};
}

Json spread_json(const ReportRecord::Spread& spread) {
  return {{"low", spread.low}, {"median", spread.median}, {"high", spread.high}};
}

Json looking_json(const ReportRecord::ArmRecord& arm) {
  if (!arm.looking) return nullptr;
  const ReportRecord::Looking& looking = *arm.looking;
  return {{"level", to_string(looking.level)},
          {"observations", looking.observations},
          {"wall", spread_json(looking.wall)},
          {"processor", spread_json(looking.processor)},
          {"share", looking.share},
          {"peak_bytes", looking.peak_bytes}};
}

Json json_from_arm(const ReportRecord::ArmRecord& arm) {
  Json phases = Json::object();
  for (const ReportRecord::PhaseTotal& phase : arm.phases) {
    phases[phase.phase] = {{"seconds", phase.seconds},
                           {"processor_seconds", phase.processor_seconds},
                           {"share", phase.share},
                           {"peak_bytes", phase.peak_bytes}};
  }
  Json witness = Json::object();
  for (const auto& [name, count] : arm.witness) witness[name] = count;
  Json on_policy;
  if (arm.on_policy) {
    on_policy = {{"relation", to_string(arm.on_policy->rule.holds)},
                 {"reason", arm.on_policy->rule.reason},
                 {"holds", arm.on_policy->holds},
                 {"tokens", arm.on_policy->tokens()},
                 {"different", arm.on_policy->different()},
                 {"text", arm.on_policy->text()}};
  }
  Json repeats = Json::array();
  for (const RepeatedStep& each : arm.repeats) {
    repeats.push_back({{"what", each.what},
                       {"first", each.first},
                       {"times", each.times},
                       {"accepted", each.accepted},
                       {"fails", each.is_fault}});
  }
  return {{"name", arm.name},
          {"mode", arm.mode},
          {"generator", arm.generator},
          {"trainer", arm.trainer},
          {"on_policy", std::move(on_policy)},
          {"sync", arm.sync},
          {"repeats", std::move(repeats)},
          {"finished", arm.finished},
          {"steps", arm.steps},
          {"wall_seconds", arm.wall_seconds},
          {"pace", pace_json(arm)},
          {"processor_seconds", arm.processor_seconds},
          {"phases", std::move(phases)},
          {"looking", looking_json(arm)},
          {"witness", std::move(witness)},
          {"resumed_at", arm.resumed_at},
          {"damage", arm.evidence.damage},
          {"witness_failure", arm.evidence.witness},
          {"ranks_failure", arm.evidence.ranks},
          {"nonfinite", arm.evidence.nonfinite},
          {"sync_failure", arm.evidence.sync},
          {"repeats_failure", arm.evidence.repeats},
          {"guard_failure", arm.evidence.guards},
          {"plant_failure", arm.evidence.plant},
          {"completion", arm.completion}};
}

Json json_from_fair_time(const ReportRecord::FairTime& time) {
  Json json = {{"arm", time.arm},
               {"rounds", time.rounds},
               {"wall", spread_json(time.wall)},
               {"processor", spread_json(time.processor)},
               {"change", nullptr}};
  if (time.change.is_known) {
    json["change"] = {{"of", time.is_by_processor ? "processor" : "wall"},
                      {"factor", time.change.factor},
                      {"low", time.change.low},
                      {"high", time.change.high}};
  }
  return json;
}

Json json_from_step(const ReportRecord& record, const ReportRecord::Step& step) {
  Json json = {{"step", step.step}};
  for (size_t i = 0; i < record.metrics.size(); ++i) {
    json[record.metrics[i].site] = step.values[i];
  }
  json["tokens"] = step.tokens;
  json["on_policy"] = step.on_policy;
  json["losses"] = step.losses;
  json["relations"] = Json::array();
  for (const ReportRecord::Cell& cell : step.cells) {
    json["relations"].push_back({{"equal", cell.equal}, {"text", cell.text}});
  }
  return json;
}

Json json_from_failure(const ReportRecord::Failure& failure) {
  Json json = {{"title", failure.title}};
  json["facts"] = Json::object();
  for (const auto& [key, value] : failure.facts) json["facts"][key] = value;
  json["next"] = failure.next;
  return json;
}

Json json_from_model(const Manifest::ModelEntry& model) {
  return {{"name", model.name},
          {"parameters", model.parameters},
          {"layers", model.layers},
          {"hidden_size", model.hidden_size}};
}

}  // namespace

std::string json_report(const ReportRecord& record) {
  Json json = {{"case", record.case_name},
               {"command", record.command},
               {"complete", record.is_complete},
               {"holds", record.holds},
               {"headline", record.headline},
               {"failures", Json::array()},
               {"workload", record.workload},
               {"numerics", record.numerics},
               {"device", record.device},
               {"models", Json::array()},
               {"load", record.load},
               {"blind_spots", record.blind_spots},
               {"unexercised", record.unexercised},
               {"environment", Json::object()},
               {"steps", Json::array()},
               {"verdicts", Json::array()},
               {"arms", Json::array()},
               {"fair_times", Json::array()},
               {"planted", Json::array()},
               {"golden", Json::array()}};
  for (const ReportRecord::Failure& each : record.failures) {
    json["failures"].push_back(json_from_failure(each));
  }
  for (const Manifest::ModelEntry& each : record.models) {
    json["models"].push_back(json_from_model(each));
  }
  for (const auto& [key, value] : record.environment) json["environment"][key] = value;
  for (const ReportRecord::Step& step : record.steps) {
    json["steps"].push_back(json_from_step(record, step));
  }
  for (const Verdict& verdict : record.verdicts) {
    json["verdicts"].push_back(json_from_verdict(verdict));
  }
  for (const ReportRecord::ArmRecord& arm : record.arms) {
    json["arms"].push_back(json_from_arm(arm));
  }
  for (const PlantedFault& each : record.planted) {
    json["planted"].push_back(json_from_planted(each));
  }
  for (const ReportRecord::FairTime& time : record.fair_times) {
    json["fair_times"].push_back(json_from_fair_time(time));
  }
  for (const GoldenCheck& check : record.golden) {
    json["golden"].push_back(json_from_golden_check(check));
  }
  return json.dump(2, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace) + "\n";
}

}  // namespace samebits
