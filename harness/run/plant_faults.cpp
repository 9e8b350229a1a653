#include "harness/run/plant_faults.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "harness/base/error.h"
#include "harness/case/setting_differences.h"
#include "harness/compare/divergence.h"
#include "harness/compare/tensor_difference.h"
#include "harness/compare/verdict.h"
#include "harness/run/draw_faults.h"
#include "harness/run/explain.h"
#include "harness/run/in_process_arm.h"
#include "harness/run/tensor_view.h"
#include "harness/run/watchdog.h"

namespace samebits {
namespace {

class Collector : public ObservationSink {
 public:
  explicit Collector(std::vector<Observation>& into) : into_(into) {}
  void record(const Observation& each) override { into_.push_back(each); }
  void flush() override {}

 private:
  std::vector<Observation>& into_;
};

// A run of one arm at level `op`, in memory.
struct ArmRun {
  ArmRecording recording;
  std::string broke;  // why it did not come to its end; "" where it did
  std::optional<FaultWitness> witness;
  State state;  // after its last step
};

ArmRun run_in_memory(const CaseArm& settings, Planter* counting) {
  ArmRun run;
  run.recording.arm = settings.name;
  run.recording.ranks.emplace_back();
  Activity activity;
  activity.enter(fmt::format("arm {}, planting", settings.name));
  const Watchdog watchdog(settings.timeout_s, activity);
  Collector collector(run.recording.ranks[0].observations);
  InProcessArm arm(settings, Level::kOp, collector, activity, Checkpoints());
  if (counting != nullptr) arm.count_with(*counting);
  const auto note_broken = [&](const std::exception& error) {
    run.broke = error.what();
    run.witness = arm.witness();
  };
  try {
    arm.prepare();
    for (int64_t step = 0; step < settings.steps; ++step) {
      run.recording.steps.push_back(arm.step());
      if (const auto& planted = run.recording.steps.back().planted) run.witness = planted;
    }
    run.recording.guards = arm.guards();
    run.recording.finished = true;
    run.state = arm.state();
  } catch (const RunError& error) {
    note_broken(error);
  } catch (const InputError& error) {  // a token that is none is found where its text is asked for
    note_broken(error);
  }
  arm.stop();
  return run;
}

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

class Campaign {
 public:
  Campaign(const RecordedRun& clean, Level level) : clean_(clean), level_(level) {}

  // Runs an arm without a fault, and counts.
  ArmExecutions count(const CaseArm& arm) {
    Planter counting{Fault()};
    runs_.insert_or_assign(arm.name, run_in_memory(arm, &counting));
    const ArmRun& run = runs_.at(arm.name);
    if (!run.broke.empty()) throw RunError(run.broke);
    const PairComparison self =
        compare_recordings(without_operators(recording_of(clean_.recordings, arm.name)),
                           without_operators(run.recording), Relation());
    if (self.differs()) {
      throw RunError(fmt::format("arm {}: a run without a fault is another one than before: {}",
                                 arm.name, self.first ? self.first->text() : "nothing in common"));
    }
    return {arm.name, counting.executions()};
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
    const ArmRun run = run_in_memory(arm, nullptr);
    planted.witness = run.witness;
    if (!run.witness) {
      planted.text = run.broke;
      return planted;
    }
    if (!run.broke.empty()) {
      planted.outcome = FaultOutcome::kCaught;
      planted.text = "the run broke: " + run.broke;
      planted.detail = "the run broke before its values could be compared";
      return planted;
    }
    const ReportRecord record = record_with(run.recording);
    if (record.holds) {
      judge_effect(planted, run);
      return planted;
    }
    planted.outcome = FaultOutcome::kCaught;
    planted.text = record.failures.front().title;
    localise(planted, arm, run, record);
    return planted;
  }

  // What the verdict has against a run of the arm without a fault; "" for nothing.
  std::string false_alarm(const CaseArm& arm) const {
    const ArmRun run = run_in_memory(arm, nullptr);
    if (!run.broke.empty()) return run.broke;
    const ReportRecord record = record_with(run.recording);
    if (!record.holds) return record.failures.front().title;
    return is_same_state(runs_.at(arm.name).state, run.state) ? "" : "it ends in another state";
  }

  // The report of the run with this recording in the place of that arm's.
  ReportRecord record_with(const ArmRecording& recording) const {
    RecordedRun run = clean_;
    for (ArmRecording& each : run.recordings) {
      if (each.arm != recording.arm) continue;
      each.ranks = level_ == Level::kOp ? recording.ranks : without_operators(recording).ranks;
      each.steps = recording.steps;
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
    } else if (!is_same_state(before.state, run.state)) {
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

  void localise(PlantedFault& planted, const CaseArm& arm, const ArmRun& run,
                const ReportRecord& record) const {
    const CaseArm* other = nearest_partner(arm, record);
    if (other == nullptr) {
      planted.detail = "no arm that it differs from runs the same operators";
      return;
    }
    const PairComparison seen =
        compare_recordings(runs_.at(other->name).recording, run.recording, Relation());
    if (!seen.first_value) {
      planted.detail = "no value that both arms have differs";
      return;
    }
    planted.named = seen.first_value->place();
    const std::optional<Cause> cause = cause_of_divergence(*other, arm, *seen.first_value);
    if (!cause) {
      planted.detail = "the value is not had again outside of its replay";
      return;
    }
    planted.named += ": " + cause->facts.front().second;
    planted.detail = why_not_exact(planted, *seen.first_value, *cause);
    planted.is_exact =
        planted.detail.empty() || is_exact_site(planted, arm, run, *seen.first_value);
    if (planted.is_exact) planted.detail.clear();
  }

  // Of the arms that it was found to differ from the one whose settings are most like its own: the
  // report has a block of each.
  const CaseArm* nearest_partner(const CaseArm& arm, const ReportRecord& record) const {
    const CaseArm* nearest = nullptr;
    size_t fewest = 0;
    for (const Verdict& verdict : record.verdicts) {
      for (const Verdict::Pair& pair : verdict.pairs) {
        if (pair.holds || (pair.a != arm.name && pair.b != arm.name)) continue;
        const CaseArm& partner = clean_.settings.arm(pair.a == arm.name ? pair.b : pair.a);
        if (!runs_.contains(partner.name) || !runs_same_operators(arm, partner)) continue;
        const size_t differences = setting_differences(arm, partner).size();
        if (nearest != nullptr && differences >= fewest) continue;
        nearest = &partner;
        fewest = differences;
      }
    }
    return nearest;
  }

  // Arms that lie over other meshes compute a value by other operators, and its site alone can be
  // named. Whether that is the planted operator's is asked of the arm itself without the fault.
  bool is_exact_site(const PlantedFault& planted, const CaseArm& arm, const ArmRun& run,
                     const Divergence& named) const {
    const PairComparison seen =
        compare_recordings(runs_.at(arm.name).recording, run.recording, Relation());
    if (!is_operator_site(named.site) || !seen.first_value ||
        seen.first_value->place() != named.place()) {
      return false;
    }
    const std::optional<Cause> cause =
        cause_of_divergence(clean_.settings.arm(arm.name), arm, *seen.first_value);
    return cause && why_not_exact(planted, named, *cause).empty();
  }

  // "" where the cause is the planted call: the operator in that step, whose result has the element
  // that was seen to change, from and to the same bits, where it is had as that call left it.
  static std::string why_not_exact(const PlantedFault& planted, const Divergence& first,
                                   const Cause& cause) {
    const FaultWitness& witness = *planted.witness;
    if (first.step != planted.fault.step) {
      return fmt::format("it was planted in step {}", planted.fault.step);
    }
    if (cause.kind != Cause::Kind::kOperator) return "no operator is named";
    const std::string named = counted_name(cause.op);
    if (named != witness.caller && named != planted.fault.op) {
      return "it was planted in " + witness.caller;
    }
    if (!cause.is_over_mesh && !has_element(cause.a, cause.b, witness)) return "another call of it";
    return "";
  }

  const RecordedRun& clean_;
  Level level_;
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
    const bool is_here = !arm.is_program() && !arm.mesh.has_processes() &&
                         arm.device == DeviceKind::kCpu && !arm.plant.is_planted();
    if (is_compared && is_here) arms.push_back(arm);
  }
  return arms;
}

std::vector<PlantedFault> plant_faults(const RecordedRun& clean, Level level,
                                       const PlantOptions& options, Progress& progress) {
  Campaign campaign(clean, level);
  std::vector<ArmExecutions> executions;
  for (const CaseArm& arm : arms_to_plant_in(clean.settings)) {
    progress.show("planting: counting the operators of " + arm.name);
    executions.push_back(campaign.count(arm));
  }
  std::vector<PlantedFault> planted;
  for (const auto& [arm, fault] : draw_faults(executions, options.count, options.seed)) {
    progress.show_briefly(fmt::format("planting: fault {} of {}, {}: {} of {}", planted.size() + 1,
                                      options.count, arm, to_string(fault.kind), fault.op));
    planted.push_back(campaign.plant(arm, fault));
  }
  return planted;
}

}  // namespace samebits
