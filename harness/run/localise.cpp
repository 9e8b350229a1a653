#include "harness/run/localise.h"

#include <algorithm>
#include <set>

#include "harness/compare/evidence.h"
#include "harness/compare/sources.h"
#include "harness/observe/run_files.h"
#include "harness/observe/run_folder.h"
#include "harness/run/explain.h"
#include "harness/run/keep_tensor.h"
#include "harness/run/run_arm.h"

namespace samebits {
namespace {

namespace fs = std::filesystem;

ArmRecording first_steps(ArmRecording recording, int64_t steps) {
  for (StreamContents& rank : recording.ranks) {
    std::erase_if(rank.observations, [&](const Observation& each) { return each.step >= steps; });
  }
  return recording;
}

// Whether an arm's state before the last step that it runs is kept, so that what is asked of that
// step begins there. On a card a step takes less than writing the state of a large model.
bool keeps_state(const CaseArm& arm) {
  return !arm.is_program() && !arm.mesh.has_processes() && arm.device == DeviceKind::kCpu &&
         has_whole_state(arm.workload);
}

// Runs some arms of a case again at level `op`, for `steps` steps, in their own folder.
std::vector<ArmRecording> run_again(const Case& c, const std::vector<std::string>& arms,
                                    int64_t steps, Json origin, const fs::path& where,
                                    Progress& progress, RankPool* launched) {
  Case few = select_arms(c, arms);
  for (CaseArm& arm : few.arms) {
    arm.steps = std::min(arm.steps, steps);
    arm.keep = {};  // of this look the two tensors where they part alone
    if (keeps_state(arm)) arm.checkpoint_every = arm.steps - 1;
  }
  origin["level"] = "op";
  RunFolder folder = RunFolder::replace(where, few, origin);
  std::vector<ArmRecording> recordings;
  for (const CaseArm& arm : few.arms) {
    const auto recorder = folder.start_arm(arm.name, arm.mesh.processes());
    if (keeps_state(arm)) recorder->keep_checkpoints();
    run_arm(arm, Level::kOp, *recorder, progress, launched);
    recordings.push_back(read_whole_arm(where / arm.name));
  }
  return recordings;
}

// How an arm's second run differs from its first, at level `step`; "" where it does not.
std::string parts_from_itself(const ArmRecording& before, const ArmRecording& again,
                              int64_t steps) {
  const PairComparison comparison =
      compare_recordings(first_steps(without_operators(before), steps),
                         first_steps(without_operators(again), steps), Relation());
  if (!comparison.differs()) return "";
  const std::string where = comparison.first ? comparison.first->text() : "nothing in common";
  return "another run of it differs at " + where;
}

Manifest::Closer look_at_pair(const Case& c, const std::vector<ArmRecording>& recordings,
                              const Verdict::Pair& pair, const Relation& relation,
                              const Json& origin, const fs::path& out, Progress& progress,
                              RankPool* launched) {
  Manifest::Closer closer{.a = pair.a, .b = pair.b};
  const int64_t steps = pair.comparison.first->step + 1;
  const std::vector<ArmRecording> again =
      run_again(c, {pair.a, pair.b}, steps, origin, out / run_files::closer_folder(pair.a, pair.b),
                progress, launched);
  for (const ArmRecording& each : again) {
    const std::string text = parts_from_itself(recording_of(recordings, each.arm), each, steps);
    if (!text.empty()) closer.unstable.emplace_back(each.arm, text);
  }
  const RulesOfPair rules = [&](const std::string& a, const std::string& b) {
    return PairRules{Nonfinite::kAccept, runs_same_operators(c.arm(a), c.arm(b))};
  };
  Relation two = relation;
  two.arms = {pair.a, pair.b};
  // A bound judges numbers. Operators give tensors: the first whose bits differ is named.
  const bool is_bounded = two.holds != Holds::kBitExact;
  two.holds = Holds::kBitExact;
  const PairComparison seen = judge_relation(two, again, rules).pairs.front().comparison;
  closer.text = seen.first ? seen.first->text() : "no difference when run again";
  if (!seen.first) return closer;
  if (is_bounded) closer.text += ", by its bits (the relation is a bound)";
  if (seen.first_value) {
    closer.facts = explain_difference(c.arm(pair.a), c.arm(pair.b), *seen.first_value, again,
                                      out / run_files::closer_folder(pair.a, pair.b), progress);
  }
  const auto add_sources = [&](const Divergence& divergence) {
    const std::string sources = sources_of(recording_of(again, pair.a).folder,
                                           recording_of(again, pair.b).folder, divergence);
    if (!sources.empty()) closer.text += " (" + sources + ")";
  };
  add_sources(*seen.first);
  if (const Divergence* value = seen.later_value()) {
    closer.text += "; first value that differs: " + value->text();
    add_sources(*value);
  }
  return closer;
}

// The first operator whose output has a NaN or an infinity.
Manifest::Closer look_at_nonfinite(const Case& c, const ArmRecording& recording, int64_t steps,
                                   const Json& origin, const fs::path& out, Progress& progress,
                                   RankPool* launched) {
  Manifest::Closer closer{.a = recording.arm};
  Case by_nodes = select_arms(c, {recording.arm});
  by_nodes.arms.front() = without_replays(by_nodes.arms.front());
  const std::vector<ArmRecording> again =
      run_again(by_nodes, {recording.arm}, steps, origin,
                out / run_files::closer_folder(recording.arm, ""), progress, launched);
  closer.text = "another run of it gives no NaN and no infinity";
  const std::vector<Observation>& seen = again.front().ranks.front().observations;
  auto first = std::find_if(seen.begin(), seen.end(), [](const Observation& each) {
    return is_operator_site(each.site) && has_nonfinite(each);
  });
  std::string what = ": the first operator's output that has a NaN or an infinity";
  if (first == seen.end()) {  // of an operator that is not observed, as the optimizer's
    first = std::find_if(seen.begin(), seen.end(), has_nonfinite);
    what = ": the first value that has a NaN or an infinity; no operator's output has one";
  }
  if (first == seen.end()) return closer;
  closer.text = place_text(*first) + what;
  closer.facts = explain_nonfinite(c.arm(recording.arm), *first,
                                   occurrence_of(seen, static_cast<size_t>(first - seen.begin())),
                                   out / run_files::closer_folder(recording.arm, ""));
  return closer;
}

bool is_apart(const Observation& each) { return !each.apart.empty(); }

// The first value of which ranks hold other copies; in an arm's first run, seen at `step`.
Manifest::Closer look_at_apart(const Case& c, const ArmRecording& recording, int64_t step,
                               const Json& origin, const fs::path& out, Progress& progress,
                               RankPool* launched) {
  Manifest::Closer closer{.a = recording.arm};
  const fs::path folder = out / run_files::closer_folder(recording.arm, "");
  const std::vector<ArmRecording> again =
      run_again(c, {recording.arm}, step + 1, origin, folder, progress, launched);
  const std::vector<Observation>& seen = again.front().ranks.front().observations;
  const auto first = std::find_if(seen.begin(), seen.end(), is_apart);
  if (first == seen.end()) {
    closer.text = "another run of it has no copies that differ";
    return closer;
  }
  closer.text = place_text(*first) + ": the first value of which ranks hold other copies";
  const auto cause = cause_of_apart(c.arm(recording.arm), *first,
                                    occurrence_of(seen, static_cast<size_t>(first - seen.begin())),
                                    folder / recording.arm);
  if (cause) closer.facts = cause->facts;
  return closer;
}

int64_t step_of_first_nonfinite(const ArmRecording& recording) {
  for (const Observation& each : recording.ranks.front().observations) {
    if (has_nonfinite(each) && !is_operator_site(each.site)) return each.step;
  }
  return 0;
}

// Whether the arm can be asked for its operators: another program only where it is told the level.
bool shows_operators(const CaseArm& arm) {
  return !arm.is_program() || arm.program.is_told(ProgramSettings::kLevel);
}

}  // namespace

std::vector<Manifest::Closer> look_closer(const Case& c,
                                          const std::vector<ArmRecording>& recordings,
                                          const std::vector<Verdict>& verdicts, const Json& origin,
                                          const fs::path& out, Progress& progress,
                                          RankPool* launched) {
  std::vector<Manifest::Closer> found;
  std::set<std::pair<std::string, std::string>> looked_at;
  for (const Verdict& verdict : verdicts) {
    if (verdict.relation.holds == Holds::kMustDiverge) continue;
    for (const Verdict::Pair& pair : verdict.pairs) {
      const std::optional<Divergence>& first = pair.comparison.first;
      if (pair.holds || !first || is_operator_site(first->site)) continue;
      if (!shows_operators(c.arm(pair.a)) || !shows_operators(c.arm(pair.b))) continue;
      if (!looked_at.emplace(pair.a, pair.b).second) continue;
      found.push_back(
          look_at_pair(c, recordings, pair, verdict.relation, origin, out, progress, launched));
    }
  }
  for (const ArmRecording& recording : recordings) {
    const CaseArm& arm = c.arm(recording.arm);
    if (!shows_operators(arm)) continue;
    if (!evidence_of(arm, recording).nonfinite.empty()) {
      found.push_back(look_at_nonfinite(c, recording, step_of_first_nonfinite(recording) + 1,
                                        origin, out, progress, launched));
      continue;
    }
    const std::vector<Observation>& seen = recording.ranks.front().observations;
    const auto apart = std::find_if(seen.begin(), seen.end(), is_apart);
    if (apart == seen.end()) continue;
    found.push_back(look_at_apart(c, recording, apart->step, origin, out, progress, launched));
  }
  return found;
}

}  // namespace samebits
