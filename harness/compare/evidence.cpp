#include "harness/compare/evidence.h"

#include <set>

#include "harness/compare/divergence.h"
#include "harness/compare/repeated_steps.h"
#include "harness/compare/sync_check.h"
#include "harness/execution/witness.h"

namespace samebits {
namespace {

// Why the steps that were recorded are not those that the arm had to run.
std::string missing_step(const CaseArm& arm, const ArmRecording& recording) {
  if (!recording.finished) return "";
  std::set<int64_t> observed;
  for (const StreamContents& rank : recording.ranks) {
    for (const Observation& each : rank.observations) observed.insert(each.step);
  }
  for (int64_t step = 0; step < arm.steps; ++step) {
    const std::string number = std::to_string(step);
    if (!observed.contains(step)) return "its stream has no observation of step " + number;
    const auto at = static_cast<size_t>(step);
    if (at >= recording.steps.size() || recording.steps[at].step != step) {
      return "its steps.jsonl has no record of step " + number;
    }
  }
  const auto steps = static_cast<size_t>(arm.steps);
  if (recording.steps.size() == steps && observed.size() == steps) return "";
  return "it recorded more than the " + std::to_string(arm.steps) + " steps of the case";
}

std::string first_witness_failure(const CaseArm& arm, const ArmRecording& recording) {
  for (const StepRecord& step : recording.steps) {
    for (const auto& [name, mode] : programs_of(arm)) {
      const std::string failure = witness_failure(witness_from(step.witness, name), name, mode);
      if (!failure.empty()) return "step " + std::to_string(step.step) + ": " + failure;
    }
  }
  return "";
}

std::string first_nonfinite(const ArmRecording& recording) {
  for (const StreamContents& rank : recording.ranks) {
    for (const Observation& each : rank.observations) {
      if (is_operator_site(each.site) || !has_nonfinite(each)) continue;
      const std::string what = each.bits ? "is " + scalar_text(each)
                                         : "has " + std::to_string(each.nonfinite) +
                                               " elements that are NaN or infinite";
      return place_text(each) + " " + what;
    }
  }
  return "";
}

std::string first_sync_failure(const std::vector<Observation>& observations) {
  const std::vector<SyncCheck> syncs = sync_checks(observations);
  for (const SyncCheck& sync : syncs) {
    if (!sync.is_whole()) return sync.text();
  }
  return syncs.empty() ? "no weight was observed on either side of its sync" : "";
}

std::string first_repeat(const CaseArm& arm, const std::vector<Observation>& observations) {
  for (const RepeatedStep& each : repeated_steps(arm, observations)) {
    if (each.is_fault) return each.text();
  }
  return "";
}

}  // namespace

std::string Evidence::first() const {
  for (const std::string* each : {&damage, &witness, &nonfinite, &sync, &repeats}) {
    if (!each->empty()) return *each;
  }
  return "";
}

std::string place_text(const Observation& observation) {
  std::string text = "step " + std::to_string(observation.step) + ", " + observation.phase;
  if (observation.rank != 0) text += ", rank " + std::to_string(observation.rank);
  return text + ", " + observation.site;
}

Evidence evidence_of(const CaseArm& arm, const ArmRecording& recording) {
  Evidence evidence;
  evidence.damage = recording.damage;
  if (evidence.damage.empty()) evidence.damage = missing_step(arm, recording);
  evidence.witness = first_witness_failure(arm, recording);
  if (arm.nonfinite == Nonfinite::kRefuse) evidence.nonfinite = first_nonfinite(recording);
  if (recording.finished && !recording.ranks.empty()) {
    const std::vector<Observation>& observations = recording.ranks.front().observations;
    const bool is_synced = arm.workload.kind == WorkloadKind::kGrpo;
    if (is_synced && arm.workload.sync.is_whole()) evidence.sync = first_sync_failure(observations);
    evidence.repeats = first_repeat(arm, observations);
  }
  return evidence;
}

}  // namespace samebits
