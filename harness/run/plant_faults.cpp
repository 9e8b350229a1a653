#include "harness/run/plant_faults.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <optional>
#include <tuple>
#include <utility>

#include "harness/base/error.h"
#include "harness/case/setting_differences.h"
#include "harness/compare/divergence.h"
#include "harness/compare/evidence.h"
#include "harness/compare/tensor_difference.h"
#include "harness/compare/verdict.h"
#include "harness/observe/run_files.h"
#include "harness/run/arm_run.h"
#include "harness/run/draw_faults.h"
#include "harness/run/explain.h"
#include "harness/run/keep_tensor.h"
#include "harness/run/tensor_view.h"

namespace samebits {
namespace {

bool is_same_state(const State& a, const State& b) {
  return a.size() == b.size() &&
         std::equal(a.begin(), a.end(), b.begin(), [](const auto& x, const auto& y) {
           return x.first == y.first && is_same_value(x.second, y.second);
         });
}

// Whether an element of the two tensors has just these bits.
bool has_element(const at::Tensor& clean, const at::Tensor& faulty, const FaultWitness& witness) {
  const TensorView a = view_of("", clean);
  const TensorView b = view_of("", faulty);
  for (int64_t i = 0; i < clean.numel(); ++i) {
    if (bits_at(a, i) == witness.before && bits_at(b, i) == witness.after) return true;
  }
  return false;
}

// What the report says of ranks that do not agree.
bool has_copies_apart(const ArmRecording& recording) {
  return !rank_difference(recording).empty() ||
         std::any_of(recording.ranks[0].observations.begin(), recording.ranks[0].observations.end(),
                     [](const Observation& each) { return !each.apart.empty(); });
}

class Campaign {
 public:
  Campaign(const RecordedRun& clean, Level level, Progress& progress)
      : clean_(clean), level_(level), progress_(progress) {}

  // Runs an arm without a fault, and counts: one whose ranks are processes as it is in one process,
  // and of that what each of them executes alike.
  ArmExecutions count(const CaseArm& arm) {
    Planter counting{Fault()};
    runs_.insert_or_assign(arm.name, run_in_memory(in_this_process(arm), &counting));
    const ArmRun& run = runs_.at(arm.name);
    if (!run.broke.empty()) throw RunError(run.broke);
    const PairComparison self =
        compare_recordings(without_operators(recording_of(clean_.recordings, arm.name)),
                           without_operators(run.recording), Relation());
    if (self.differs()) {
      throw RunError(fmt::format("arm {}: a run without a fault is another one than before: {}",
                                 arm.name, self.first ? self.first->text() : "nothing in common"));
    }
    ArmExecutions executions{arm.name, counting.executions(), arm.mesh.has_processes()};
    if (executions.has_processes) {
      std::erase_if(executions.executions,
                    [](const Executed& each) { return !each.is_of_each_rank; });
    }
    return executions;
  }

  PlantedFault plant(const std::string& name, const Fault& fault) const {
    PlantedFault planted = judged(name, fault);
    planted.false_alarm = false_alarm(clean_.settings.arm(name));
    return planted;
  }

 private:
  PlantedFault judged(const std::string& name, const Fault& fault) const {
    PlantedFault planted{.arm = name, .fault = fault};
    CaseArm arm = clean_.settings.arm(name);
    arm.plant = fault;
    const ArmRun run = run_of(arm);
    planted.witness = run.witness;
    if (!run.witness) {
      planted.text = run.broke;
      return planted;
    }
    const bool is_guard = fault.kind == FaultKind::kGuard;
    if (is_guard) name_guard(planted, run);
    if (!run.broke.empty()) {  // what it has left is compared, as `samebits compare` does
      planted.outcome = FaultOutcome::kCaught;
      planted.text = "the run broke: " + run.broke;
      if (!is_guard) localise(planted, arm, run, related_to(arm));
      return planted;
    }
    const ReportRecord record = record_with(run.recording);
    if (record.holds) {
      judge_effect(planted, run);
      return planted;
    }
    planted.outcome = FaultOutcome::kCaught;
    planted.text = record.failures.front().title;
    if (is_guard) return planted;
    if (has_copies_apart(run.recording)) localise_apart(planted, arm, run);
    if (!planted.is_exact) localise(planted, arm, run, partners_of(arm, record));
    return planted;
  }

  // The arm's own ledger names the guard, also where what ran in spite of it broke.
  void name_guard(PlantedFault& planted, const ArmRun& run) const {
    planted.named = evidence_of(clean_.settings.arm(planted.arm), run.recording).guards;
    planted.is_exact = planted.named.ends_with(planted.witness->caller);
    if (!planted.is_exact) planted.detail = "another guard is named, or none";
  }

  ArmRun run_of(const CaseArm& arm) const {
    if (!arm.mesh.has_processes()) return run_in_memory(arm);
    const std::string folder = run_files::closer_folder(arm.name, "planted");
    return run_in_processes(clean_.settings, arm, clean_.folder / folder, progress_);
  }

  // Of ranks in processes the steps alone tell: they observe weights, master weights and moments.
  bool has_clean_state(const CaseArm& arm, const ArmRun& run) const {
    return arm.mesh.has_processes() || is_same_state(runs_.at(arm.name).state, run.state);
  }

  // What the verdict has against a run of the arm without a fault; "" for nothing.
  std::string false_alarm(const CaseArm& arm) const {
    const ArmRun run = run_of(arm);
    if (!run.broke.empty()) return run.broke;
    const ReportRecord record = record_with(run.recording);
    if (!record.holds) return record.failures.front().title;
    return has_clean_state(arm, run) ? "" : "it ends in another state";
  }

  // The report of the run with this recording in the place of that arm's.
  ReportRecord record_with(const ArmRecording& recording) const {
    RecordedRun run = clean_;
    for (ArmRecording& each : run.recordings) {
      if (each.arm != recording.arm) continue;
      each.ranks = level_ == Level::kOp ? recording.ranks : without_operators(recording).ranks;
      each.steps = recording.steps;
      each.steps_of_others = recording.steps_of_others;
      each.guards = recording.guards;
    }
    run.manifest->golden = Json::array();  // made by the arm as it is
    return record_from(run);
  }

  void judge_effect(PlantedFault& planted, const ArmRun& run) const {
    const ArmRun& before = runs_.at(planted.arm);
    const PairComparison values = compare_recordings(without_operators(before.recording),
                                                     without_operators(run.recording), Relation());
    const PairComparison all = compare_recordings(before.recording, run.recording, Relation());
    if (values.differs()) {
      planted.outcome = FaultOutcome::kEscaped;
      planted.text = "the arm gives other values: " + values.first->text();
    } else if (!has_clean_state(clean_.settings.arm(planted.arm), run)) {
      planted.outcome = FaultOutcome::kEscaped;
      planted.text = "the arm ends with other weights, moments or counters";
    } else {
      planted.outcome = FaultOutcome::kNoEffect;
      planted.text = planted.witness->changed == 0 ? "its result is what it was"
                     : all.different == 0          ? "nothing that was observed read it"
                                                   : fmt::format(
                                                         "{} operators' results moved, and no value "
                                                                  "of a step",
                                                         all.different);
    }
  }

  // By the blocks of the pairs that it is in, the nearest first: one that names the call is enough.
  void localise(PlantedFault& planted, const CaseArm& arm, const ArmRun& run,
                const std::vector<std::string>& partners) const {
    constexpr size_t kMost = 3;
    std::vector<const CaseArm*> others = nearest_of(arm, partners);
    if (others.empty() && planted.detail.empty()) {
      planted.detail = "no arm that it is compared with runs the same operators";
    }
    if (others.size() > kMost) others.resize(kMost);
    std::optional<PlantedFault> first;
    for (const CaseArm* other : others) {
      localise_beside(planted, arm, run, *other);
      if (planted.is_exact) return;
      if (!first) first = planted;
    }
    if (first) planted = *first;
  }

  // What an arm gives without a fault, in one process, as each rank of that run would see it.
  ArmRecording clean_beside(const std::string& name, const ArmRun& run) const {
    ArmRecording recording = runs_.at(name).recording;
    for (size_t rank = 1; rank < run.recording.ranks.size(); ++rank) {
      StreamContents seen = recording.ranks[0];
      for (Observation& each : seen.observations) each.rank = static_cast<int64_t>(rank);
      recording.ranks.push_back(std::move(seen));
    }
    return recording;
  }

  void localise_beside(PlantedFault& planted, const CaseArm& arm, const ArmRun& run,
                       const CaseArm& other) const {
    const PairComparison seen =
        compare_recordings(clean_beside(other.name, run), run.recording, Relation());
    if (!seen.first_value) {
      planted.detail = "no value that both arms have differs";
      return;
    }
    planted.named = seen.first_value->place();
    const std::optional<Cause> cause = cause_of_divergence(other, arm, *seen.first_value);
    if (!cause) {
      planted.detail = "the value is not had again";
      return;
    }
    planted.named += ": " + cause->facts.front().second;
    planted.detail = why_not_exact(planted, arm, seen.first_value->step, *cause);
    // Of what was replayed no call is seen: its place must be the first that the fault moved.
    const bool is_exact = planted.detail.empty() && (cause->kind != Cause::Kind::kReplay ||
                                                     is_first_place(arm, run, *seen.first_value));
    planted.is_exact = is_exact || is_exact_site(planted, arm, run, *seen.first_value);
    if (planted.is_exact) planted.detail.clear();
    if (!planted.is_exact && planted.detail.empty()) planted.detail = "another place of the replay";
  }

  // Of a fault that left other ranks with other copies: the report has a block of that.
  static void localise_apart(PlantedFault& planted, const CaseArm& arm, const ArmRun& run) {
    const ArmRun here = arm.mesh.has_processes() ? run_in_memory(in_this_process(arm)) : run;
    const std::vector<Observation>& seen = here.recording.ranks[0].observations;
    const auto first = std::find_if(seen.begin(), seen.end(),
                                    [](const Observation& each) { return !each.apart.empty(); });
    if (first == seen.end()) {
      planted.detail = "in one process its ranks agree";
      return;
    }
    const int64_t occurrence = occurrence_of(seen, static_cast<size_t>(first - seen.begin()));
    const std::optional<Cause> cause = cause_of_apart(arm, *first, occurrence);
    planted.named = place_text(*first);
    if (!cause) {
      planted.detail = "the value is not had again";
      return;
    }
    planted.named += ": " + cause->facts.front().second;
    planted.detail = why_not_exact(planted, arm, first->step, *cause);
    planted.is_exact = planted.detail.empty();
  }

  // The arms that it was found to differ from: the report has a block of each.
  static std::vector<std::string> partners_of(const CaseArm& arm, const ReportRecord& record) {
    std::vector<std::string> partners;
    for (const Verdict& verdict : record.verdicts) {
      for (const Verdict::Pair& pair : verdict.pairs) {
        if (pair.holds || (pair.a != arm.name && pair.b != arm.name)) continue;
        partners.push_back(pair.a == arm.name ? pair.b : pair.a);
      }
    }
    return partners;
  }

  // All arms that a relation compares it with.
  std::vector<std::string> related_to(const CaseArm& arm) const {
    std::vector<std::string> partners;
    for (const Relation& relation : clean_.settings.relations) {
      const std::vector<std::string>& arms = relation.arms;
      const bool has_it = std::find(arms.begin(), arms.end(), arm.name) != arms.end();
      if (relation.holds == Holds::kMustDiverge || !has_it) continue;
      std::copy_if(arms.begin(), arms.end(), std::back_inserter(partners),
                   [&](const std::string& each) { return each != arm.name; });
    }
    return partners;
  }

  // Those of the same mesh first, since over another one a backward is of other operators, and of
  // these those with the fewest other settings.
  std::vector<const CaseArm*> nearest_of(const CaseArm& arm,
                                         const std::vector<std::string>& partners) const {
    const auto distance = [&](const CaseArm* partner) {
      return std::tuple(partner->mesh.ranks() != arm.mesh.ranks(),
                        setting_differences(arm, *partner).size());
    };
    std::vector<const CaseArm*> nearest;
    for (const std::string& name : partners) {
      const CaseArm& partner = clean_.settings.arm(name);
      if (!runs_.contains(name) || !runs_same_operators(arm, partner)) continue;
      if (std::find(nearest.begin(), nearest.end(), &partner) == nearest.end()) {
        nearest.push_back(&partner);
      }
    }
    std::stable_sort(nearest.begin(), nearest.end(),
                     [&](const CaseArm* a, const CaseArm* b) { return distance(a) < distance(b); });
    return nearest;
  }

  // Whether the fault moved nothing before that place.
  bool is_first_place(const CaseArm& arm, const ArmRun& run, const Divergence& named) const {
    const PairComparison seen =
        compare_recordings(clean_beside(arm.name, run), run.recording, Relation());
    return seen.first_value && seen.first_value->place() == named.place();
  }

  // Arms that lie over other meshes compute a value by other operators, and its site alone can be
  // named. Whether that is the planted operator's is asked of the arm itself without the fault.
  bool is_exact_site(const PlantedFault& planted, const CaseArm& arm, const ArmRun& run,
                     const Divergence& named) const {
    if (!is_operator_site(named.site) || !is_first_place(arm, run, named)) return false;
    const PairComparison seen =
        compare_recordings(clean_beside(arm.name, run), run.recording, Relation());
    const std::optional<Cause> cause =
        cause_of_divergence(clean_.settings.arm(arm.name), arm, *seen.first_value);
    return cause && cause->kind == Cause::Kind::kOperator &&
           why_not_exact(planted, arm, named.step, *cause).empty();
  }

  // "" where the cause is the planted call: the operator in that step, and of all of its calls in
  // that phase this one.
  static std::string why_not_exact(const PlantedFault& planted, const CaseArm& arm, int64_t step,
                                   const Cause& cause) {
    const FaultWitness& witness = *planted.witness;
    if (step != planted.fault.step) {
      return fmt::format("it was planted in step {}", planted.fault.step);
    }
    const bool is_replay = cause.kind == Cause::Kind::kReplay;
    if (cause.kind != Cause::Kind::kOperator && !is_replay) return "no operator is named";
    const std::string named = counted_name(cause.op);
    if (named != witness.caller && named != planted.fault.op) {
      return "it was planted in " + witness.caller;
    }
    if (is_replay || witness.caller_call == cause.number) return "";
    return is_call_of_replay(planted, arm, cause)
               ? ""
               : fmt::format("call {} of it is named, and it was planted in {}", cause.number,
                             witness.caller_call ? fmt::format("call {}", *witness.caller_call)
                                                 : std::string("a replay"));
  }

  // A call that is replayed has no number. It has one where the graph runs node by node, which is
  // how its value was had, fault included; and where it copies out of a replay, its result has the
  // element that was seen to change, from and to the same bits.
  static bool is_call_of_replay(const PlantedFault& planted, const CaseArm& arm,
                                const Cause& cause) {
    const bool is_of_generator = planted.fault.phase == "rollout" || planted.fault.phase == "score";
    if (!(is_of_generator ? arm.generator : arm.trainer).is_replayed()) return false;
    const bool has_result = cause.a.defined() && !cause.is_over_mesh;
    if (has_result && has_element(cause.a, cause.b, *planted.witness)) return true;
    const std::optional<FaultWitness> by_nodes =
        run_in_memory(without_replays(in_this_process(arm))).witness;
    return by_nodes && by_nodes->caller_call == cause.number;
  }

  const RecordedRun& clean_;
  Level level_;
  Progress& progress_;
  std::map<std::string, ArmRun> runs_;  // at level `op`, without a fault
};

}  // namespace

std::vector<CaseArm> arms_to_plant_in(const Case& c) {
  std::vector<CaseArm> arms;
  for (const CaseArm& arm : c.arms) {
    const bool is_compared =
        std::any_of(c.relations.begin(), c.relations.end(), [&](const Relation& relation) {
          return relation.holds != Holds::kMustDiverge &&
                 std::find(relation.arms.begin(), relation.arms.end(), arm.name) !=
                     relation.arms.end();
        });
    // Ranks in processes are counted in one, which replicas do not share.
    const bool is_here = !arm.is_program() && arm.device == DeviceKind::kCpu &&
                         (!arm.mesh.has_processes() || arm.mesh.dp == 1) && !arm.plant.is_planted();
    if (is_compared && is_here) arms.push_back(arm);
  }
  return arms;
}

std::vector<PlantedFault> plant_faults(const RecordedRun& clean, Level level,
                                       const PlantOptions& options, Progress& progress) {
  Campaign campaign(clean, level, progress);
  std::vector<ArmExecutions> executions;
  for (const CaseArm& arm : arms_to_plant_in(clean.settings)) {
    progress.show("planting: counting the operators of " + arm.name);
    executions.push_back(campaign.count(arm));
  }
  const auto faults = options.again.empty()
                          ? draw_faults(executions, options.count, options.seed, options.kind)
                          : options.again;
  if (faults.empty()) {
    throw InputError("--plant-kind", to_string(options.kind.value_or(FaultKind::kNone)),
                     "a kind that an arm can plant");
  }
  std::vector<PlantedFault> planted;
  for (const auto& [arm, fault] : faults) {
    progress.show_briefly(fmt::format("planting: fault {} of {}, {}: {} of {}", planted.size() + 1,
                                      faults.size(), arm, to_string(fault.kind), fault.op));
    planted.push_back(campaign.plant(arm, fault));
  }
  return planted;
}

}  // namespace samebits
