#include "harness/run/localise.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "harness/bits/digest.h"
#include "harness/compare/evidence.h"
#include "harness/compare/sources.h"
#include "harness/compare/tensor_difference.h"
#include "harness/observe/run_files.h"
#include "harness/observe/run_folder.h"
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

// Runs some arms of a case again at level `op`, for `steps` steps, in their own folder.
std::vector<ArmRecording> run_again(const Case& c, const std::vector<std::string>& arms,
                                    int64_t steps, Json origin, const fs::path& where,
                                    Progress& progress, RankPool* launched) {
  Case few = select_arms(c, arms);
  for (CaseArm& arm : few.arms) arm.steps = std::min(arm.steps, steps);
  origin["level"] = "op";
  RunFolder folder = RunFolder::replace(where, few, origin);
  std::vector<ArmRecording> recordings;
  for (const CaseArm& arm : few.arms) {
    run_arm(arm, Level::kOp, *folder.start_arm(arm.name, arm.mesh.processes()), progress, launched);
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

// What an arm observed at a place, undefined where it cannot be had. What a replay computes is had
// from its graph, run node by node; it is taken only where its digest is the replay's.
at::Tensor tensor_of(const CaseArm& arm, const ObservationPlace& place, const Observation& seen) {
  at::Tensor kept = keep_tensor(arm, place);
  if (!kept.defined() && arm.generator.is_replayed()) {
    CaseArm by_node = arm;
    by_node.generator.execution = Execution::kCaptured;
    kept = keep_tensor(by_node, place);
  }
  if (!kept.defined()) return {};
  const Digest digest = digest_of(seen.dtype, seen.shape, kept.const_data_ptr());
  return digest == seen.digest ? kept : at::Tensor();
}

// How the tensors of two arms differ where they first part; nothing where they cannot be had, or
// say no more than the observations do. They are left beside the streams.
std::vector<std::pair<std::string, std::string>> tensors_differ(const CaseArm& a, const CaseArm& b,
                                                                const Divergence& first,
                                                                const fs::path& folder,
                                                                Progress& progress) {
  const bool is_comparable = first.a && first.b && first.a->dtype == first.b->dtype &&
                             first.a->shape == first.b->shape && !first.a->bits;
  if (!is_comparable) return {};
  progress.show(fmt::format("{} and {}: keeping {}", a.name, b.name, first.site));
  const ObservationPlace place{first.step, first.phase, first.site, first.occurrence};
  const at::Tensor of_a = tensor_of(a, place, *first.a);
  const at::Tensor of_b = of_a.defined() ? tensor_of(b, place, *first.b) : at::Tensor();
  if (!of_b.defined()) {
    return {{"elements", "not seen: " + (of_a.defined() ? b : a).name +
                             " does not give that value outside of its replays or ranks"}};
  }
  const auto view = [&](const char* name, const at::Tensor& tensor) {
    const auto* bytes = static_cast<const std::byte*>(tensor.const_data_ptr());
    return TensorView{name, first.a->dtype, first.a->shape, {bytes, tensor.nbytes()}};
  };
  const std::vector<TensorView> views = {view("a", of_a), view("b", of_b)};
  write_safetensors((folder / run_files::kDifference).string(), views,
                    {{"a", a.name}, {"b", b.name}, {"place", first.place()}});
  return difference_of(views[0], views[1]).facts();
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
  const PairComparison seen = judge_relation(two, again, rules).pairs.front().comparison;
  closer.text = seen.first ? seen.first->text() : "no difference when run again";
  if (!seen.first) return closer;
  if (seen.first_value) {
    closer.facts = tensors_differ(c.arm(pair.a), c.arm(pair.b), *seen.first_value,
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
  const std::vector<ArmRecording> again =
      run_again(c, {recording.arm}, steps, origin,
                out / run_files::closer_folder(recording.arm, ""), progress, launched);
  closer.text =
      "no operator's output was seen to be NaN or infinite (those of replays are not "
      "looked at)";
  for (const Observation& each : again.front().ranks.front().observations) {
    if (!is_operator_site(each.site) || !has_nonfinite(each)) continue;
    closer.text = place_text(each) + ": the first operator's output that has a NaN or an infinity";
    break;
  }
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
    if (!shows_operators(arm) || evidence_of(arm, recording).nonfinite.empty()) continue;
    found.push_back(look_at_nonfinite(c, recording, step_of_first_nonfinite(recording) + 1, origin,
                                      out, progress, launched));
  }
  return found;
}

}  // namespace samebits
