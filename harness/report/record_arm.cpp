#include <algorithm>

#include "harness/compare/sync_check.h"
#include "harness/report/record_parts.h"

namespace samebits {
namespace {

std::string mode_of(const CaseArm& arm) {
  if (arm.is_program()) {
    if (!arm.program.recorded.empty()) return "recorded";
    const std::string runs = std::to_string(arm.program.repeat);
    return arm.program.repeat == 1 ? "another program" : "another program, " + runs + " runs";
  }
  std::string mode = "TP " + std::to_string(arm.mesh.tp);
  if (arm.mesh.dp > 1) mode += ", DP " + std::to_string(arm.mesh.dp);
  if (arm.mesh.has_processes()) {
    mode +=
        ", " + std::to_string(arm.mesh.ranks()) + " processes (" + to_string(arm.mesh.kind) + ")";
  }
  if (is_generated(arm.workload.kind)) mode += ", " + describe(arm.generator);
  if (arm.trainer.is_traced()) mode += ", trainer " + describe(arm.trainer);
  if (arm.generator.numerics) mode += ", numerics of the generator's own";
  if (arm.trainer.numerics) mode += ", numerics of the trainer's own";
  return mode;
}

void add_phase(ReportRecord::ArmRecord& record, const PhaseCost& phase) {
  auto at = std::find_if(record.phases.begin(), record.phases.end(),
                         [&](const auto& each) { return each.phase == phase.phase; });
  if (at == record.phases.end()) {
    at = record.phases.insert(at, ReportRecord::PhaseTotal());
    at->phase = phase.phase;
  }
  at->seconds += phase.seconds;
  at->processor_seconds += phase.processor_seconds;
  at->peak_bytes = std::max(at->peak_bytes, phase.peak_bytes);
  record.wall_seconds += phase.seconds;
  record.processor_seconds += phase.processor_seconds;
}

// The first step also traces and captures, so it counts only where there is no other.
void add_spread(ReportRecord::PhaseTotal& total, const std::vector<StepRecord>& steps) {
  std::vector<double> wall;
  std::vector<double> processor;
  for (size_t i = steps.size() > 1 ? 1 : 0; i < steps.size(); ++i) {
    for (const PhaseCost& phase : steps[i].phases) {
      if (phase.phase != total.phase) continue;
      wall.push_back(phase.seconds);
      processor.push_back(phase.processor_seconds);
    }
  }
  if (wall.empty()) return;
  total.wall = spread_of(std::move(wall));
  total.processor = spread_of(std::move(processor));
}

std::optional<ReportRecord::Looking> looking_of(const std::vector<StepRecord>& steps) {
  ReportRecord::Looking looking;
  std::vector<double> wall;
  std::vector<double> processor;
  double observing = 0;
  double all = 0;
  for (size_t i = 0; i < steps.size(); ++i) {
    if (!steps[i].observation) continue;
    const ObservationCost& cost = *steps[i].observation;
    looking.level = cost.level;
    looking.observations = cost.observations;
    looking.peak_bytes = std::max(looking.peak_bytes, cost.peak_bytes);
    if (i == 0 && steps.size() > 1) continue;
    wall.push_back(cost.seconds);
    processor.push_back(cost.processor_seconds);
    observing += cost.seconds;
    all += cost.seconds;
    for (const PhaseCost& phase : steps[i].phases) all += phase.seconds;
  }
  if (wall.empty()) return std::nullopt;
  looking.wall = spread_of(std::move(wall));
  looking.processor = spread_of(std::move(processor));
  looking.share = all > 0 ? observing / all : 0;
  return looking;
}

void add_count(ReportRecord::ArmRecord& record, const std::string& name, int64_t count) {
  auto at = std::find_if(record.witness.begin(), record.witness.end(),
                         [&](const auto& each) { return each.first == name; });
  if (at == record.witness.end()) at = record.witness.insert(at, {name, 0});
  at->second += count;
}

}  // namespace

ReportRecord::ArmRecord arm_record(const CaseArm& arm, const ArmRecording& recording) {
  ReportRecord::ArmRecord record;
  record.name = arm.name;
  record.mode = mode_of(arm);
  if (!arm.is_program()) {
    record.generator = to_string(arm.generator.execution);
    record.trainer = to_string(arm.trainer.execution);
  }
  record.guards = recording.guards;
  if (!recording.ranks.empty()) {
    const std::vector<Observation>& observations = recording.ranks.front().observations;
    record.on_policy = on_policy_of(arm, recording);
    if (record.on_policy && !arm.is_program())
      record.sync = summary_text(sync_checks(observations));
    record.repeats = repeated_steps(arm, observations);
  }
  record.finished = recording.finished;
  record.evidence = evidence_of(arm, recording);
  record.steps = static_cast<int64_t>(recording.steps.size());
  std::vector<double> step_seconds;
  for (const StepRecord& step : recording.steps) {
    const double before = record.wall_seconds;
    for (const PhaseCost& phase : step.phases) add_phase(record, phase);
    if (!step.phases.empty()) step_seconds.push_back(record.wall_seconds - before);
    for (const auto& [name, count] : step.witness) add_count(record, name, count);
    record.completion = step.completion;
    if (step.is_resumed) record.resumed_at.push_back(step.step);
  }
  record.pace = pace_of(step_seconds);
  record.looking = looking_of(recording.steps);
  for (ReportRecord::PhaseTotal& phase : record.phases) {
    phase.share = record.wall_seconds > 0 ? phase.seconds / record.wall_seconds : 0;
    add_spread(phase, recording.steps);
  }
  return record;
}

}  // namespace samebits
