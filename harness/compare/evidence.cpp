#include "harness/compare/evidence.h"

#include <algorithm>
#include <set>

#include "harness/base/text.h"
#include "harness/compare/divergence.h"
#include "harness/compare/repeated_steps.h"
#include "harness/compare/sync_check.h"
#include "harness/execution/witness.h"

namespace samebits {
namespace {

// What another program did is known by what it observed alone.
std::string missing_part_of_program(const CaseArm& arm, const ArmRecording& recording) {
  if (!recording.finished) return "";
  std::set<int64_t> observed;
  for (const StreamContents& rank : recording.ranks) {
    if (rank.observations.empty()) return "a stream of it has no observation";
    for (const Observation& each : rank.observations) observed.insert(each.step);
  }
  const auto runs = static_cast<int64_t>(recording.repeats.size()) + 1;
  if (runs != arm.program.repeat) {
    return "it has " + std::to_string(runs) + " of " + std::to_string(arm.program.repeat) + " runs";
  }
  if (!arm.program.is_told(ProgramSettings::kSteps)) return "";
  const bool has_all = static_cast<int64_t>(observed.size()) == arm.steps &&
                       *observed.begin() == 0 && *observed.rbegin() == arm.steps - 1;
  if (has_all) return "";
  return "it observed " + std::to_string(observed.size()) + " steps, not the " +
         std::to_string(arm.steps) + " that it was told";
}

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

// Whether ranks that are not there before `step` may begin with it: the arm went on from a
// checkpoint there, at another layout perhaps.
bool begins_with_a_layout(const ArmRecording& recording, int64_t step) {
  if (step == 0) return true;
  return std::any_of(recording.steps.begin(), recording.steps.end(),
                     [&](const StepRecord& each) { return each.step == step && each.is_resumed; });
}

std::string witness_failure_of(const CaseArm& arm, const std::vector<StepRecord>& steps) {
  for (const StepRecord& step : steps) {
    for (const auto& [name, mode] : programs_of(arm)) {
      const std::string failure = witness_failure(witness_from(step.witness, name), name, mode);
      if (!failure.empty()) return "step " + std::to_string(step.step) + ": " + failure;
    }
  }
  return "";
}

std::string first_witness_failure(const CaseArm& arm, const ArmRecording& recording) {
  std::string failure = witness_failure_of(arm, recording.steps);
  if (!failure.empty()) return failure;
  for (size_t i = 0; i < recording.steps_of_others.size(); ++i) {
    const std::string rank = "rank " + std::to_string(i + 1);
    const std::vector<StepRecord>& steps = recording.steps_of_others[i];
    const bool is_whole = !steps.empty() && begins_with_a_layout(recording, steps.front().step) &&
                          steps.front().step + static_cast<int64_t>(steps.size()) ==
                              static_cast<int64_t>(recording.steps.size());
    if (recording.finished && !is_whole) {
      return rank + " has records of " + std::to_string(steps.size()) + " steps";
    }
    const std::string of_rank = witness_failure_of(arm, steps);
    if (!of_rank.empty()) return rank + ", " + of_rank;
  }
  return "";
}

// Of an arm that drops guards nothing is said: it is to run graphs where they are false.
std::string guard_failure(const CaseArm& arm, const ArmRecording& recording) {
  for (const auto& [name, mode] : programs_of(arm)) {
    if (mode.guards == GuardPolicy::kDrop) return "";
  }
  for (const GuardRecord& guard : recording.guards) {
    for (const GuardRecord::FalseAt& at : guard.false_at) {
      if (at.served > 0)
        return "a graph ran where its guard is false: " + guard.guard + " at " + at.sizes;
    }
  }
  return "";
}

std::string plant_failure(const CaseArm& arm, const ArmRecording& recording) {
  if (!arm.plant.is_planted() || !recording.finished) return "";
  const auto has_any = [](const std::vector<StepRecord>& steps) {
    return std::any_of(steps.begin(), steps.end(),
                       [](const StepRecord& each) { return each.planted.has_value(); });
  };
  const auto& others = recording.steps_of_others;
  if (has_any(recording.steps) || std::any_of(others.begin(), others.end(), has_any)) return "";
  return "no step came to call " + std::to_string(arm.plant.call) + " of " + arm.plant.op +
         ", step " + std::to_string(arm.plant.step) + ", " + arm.plant.phase;
}

// As rank 0 would have seen them.
std::vector<Observation> as_of_rank_0(std::vector<Observation> observations) {
  for (Observation& each : observations) each.rank = 0;
  return observations;
}

std::vector<Observation> from_step(std::vector<Observation> observations, int64_t step) {
  std::erase_if(observations, [&](const Observation& each) { return each.step < step; });
  return observations;
}

std::string first_rank_failure(const CaseArm& arm, const ArmRecording& recording) {
  const int64_t expected = arm.mesh.processes();
  const auto found = static_cast<int64_t>(recording.ranks.size());
  if (recording.finished && found != expected) {
    return "it has streams of " + std::to_string(found) + " ranks, not of " +
           std::to_string(expected);
  }
  if (!recording.finished) return "";
  if (std::string apart = copies_apart(recording); !apart.empty()) return apart;
  return rank_difference(arm.mesh.shares() == 1 ? recording : without_operators(recording));
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

Evidence evidence_of_program(const CaseArm& arm, const ArmRecording& recording) {
  Evidence evidence;
  evidence.damage = recording.damage;
  if (evidence.damage.empty()) evidence.damage = missing_part_of_program(arm, recording);
  evidence.itself = self_difference(recording);
  if (arm.nonfinite == Nonfinite::kRefuse) evidence.nonfinite = first_nonfinite(recording);
  return evidence;
}

}  // namespace

std::string Evidence::first() const {
  for (const std::string* each :
       {&damage, &witness, &guards, &plant, &ranks, &itself, &nonfinite, &sync, &repeats}) {
    if (!each->empty()) return *each;
  }
  return "";
}

std::string copies_apart(const ArmRecording& recording) {
  for (const StreamContents& rank : recording.ranks) {
    for (const Observation& each : rank.observations) {
      if (each.apart.empty()) continue;
      return ranks_text(each.apart) + (each.apart.size() == 1 ? " differs" : " differ") +
             " from rank 0 at " + place_text(each);
    }
  }
  return "";
}

std::string rank_difference(const ArmRecording& recording) {
  for (size_t rank = 1; rank < recording.ranks.size(); ++rank) {
    const std::vector<Observation>& seen = recording.ranks[rank].observations;
    const int64_t first = seen.empty() ? 0 : seen.front().step;
    const PairComparison comparison =
        compare_streams(from_step(recording.ranks.front().observations,
                                  begins_with_a_layout(recording, first) ? first : 0),
                        as_of_rank_0(seen), Relation());
    if (!comparison.differs()) continue;
    const std::string numbers = "ranks 0 and " + std::to_string(rank);
    return comparison.first ? numbers + " differ at " + comparison.first->text()
                            : numbers + " have no observation in common";
  }
  return "";
}

bool has_all_ranks(const ArmRecording& a, const ArmRecording& b) {
  const auto agrees = [](const ArmRecording& each) {
    return rank_difference(without_operators(each)).empty();
  };
  return a.ranks.size() == b.ranks.size() || (agrees(a) && agrees(b));
}

std::string place_text(const Observation& observation) {
  std::string text = "step " + std::to_string(observation.step) + ", " + observation.phase;
  if (observation.rank != 0) text += ", rank " + std::to_string(observation.rank);
  return text + ", " + observation.site;
}

std::string self_difference(const ArmRecording& recording) {
  for (size_t run = 0; run < recording.repeats.size(); ++run) {
    const std::string runs = "runs 1 and " + std::to_string(run + 2);
    const std::vector<StreamContents>& again = recording.repeats[run];
    if (again.size() != recording.ranks.size()) {
      return runs + " have streams of " + std::to_string(recording.ranks.size()) + " and " +
             std::to_string(again.size()) + " ranks";
    }
    for (size_t rank = 0; rank < again.size(); ++rank) {
      const PairComparison comparison =
          compare_streams(recording.ranks[rank].observations, again[rank].observations, Relation());
      if (!comparison.differs()) continue;
      return runs + (comparison.first ? " differ at " + comparison.first->text()
                                      : " have no observation in common");
    }
  }
  return "";
}

Evidence evidence_of(const CaseArm& arm, const ArmRecording& recording) {
  if (arm.is_program()) return evidence_of_program(arm, recording);
  Evidence evidence;
  evidence.damage = recording.damage;
  if (evidence.damage.empty()) evidence.damage = missing_step(arm, recording);
  evidence.witness = first_witness_failure(arm, recording);
  evidence.guards = guard_failure(arm, recording);
  evidence.plant = plant_failure(arm, recording);
  evidence.ranks = first_rank_failure(arm, recording);
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
