#include "harness/diagnose/blame_run.h"

#include <fmt/format.h>

#include <algorithm>

#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/compare/on_policy.h"
#include "harness/compare/verdict.h"
#include "harness/diagnose/ended_run.h"
#include "harness/diagnose/replay.h"

namespace samebits {
namespace {

namespace fs = std::filesystem;

bool is_replayable(const CaseArm& arm) {
  return arm.workload.kind == WorkloadKind::kGrpo && arm.device == DeviceKind::kCpu;
}

// A loop that has steps enough to be replayed up to `step`, on given rollouts.
CaseArm given(CaseArm arm, const fs::path& rollouts) {
  arm.workload.rollouts = rollouts;
  return arm;
}

fs::path keep_rollouts(const CaseArm& arm, int64_t steps, const fs::path& folder) {
  const fs::path file = folder / ("rollouts-" + arm.name + ".json");
  write_rollouts(file, rollouts_of(arm, steps));
  return file;
}

// The parts behind generation, of the second arm on the first one's rollouts.
void replay_pair(Blame& blame, const CaseArm& a, const CaseArm& b, const ArmRecording& of_a,
                 const fs::path& folder, Progress& progress) {
  progress.show(fmt::format("{} on the rollouts of {}", b.name, a.name));
  const int64_t steps = blame.step + 1;
  std::vector<Observation> replayed;
  try {
    replayed = observations_of(given(b, keep_rollouts(a, steps, folder)), steps);
  } catch (const InputError& error) {  // arms of other prompts or lengths
    blame.facts.emplace_back("replay", std::string("not possible: ") + error.what());
    return;
  }
  const std::vector<Observation>& seen = of_a.ranks.front().observations;
  for (PhaseRow& row : blame.rows) {
    if (row.phase <= RlPhase::kGeneration) continue;
    bool is_equal = true;
    for (int64_t step = 0; step < steps; ++step) {
      is_equal = is_equal && !compare_streams(observed_in(seen, step, row.phase),
                                              observed_in(replayed, step, row.phase), Relation())
                                  .first;
    }
    row.replayed_equal = is_equal;
  }
}

// The arm's trainer and generator as plainly as they can be run, in the arithmetic that both are
// said to have.
CaseArm plain(const CaseArm& arm) {
  CaseArm plain = arm;
  plain.generator = SideSettings();
  plain.trainer = SideSettings();
  plain.mesh = MeshSettings();
  ProcessedLogprobs& processed = plain.workload.processed_logprobs;
  if (processed != ProcessedLogprobs::kBoth) processed = ProcessedLogprobs::kNone;
  return plain;
}

// Which side of an arm parts from a plain trainer of the same weights, on the same tokens.
void replay_sides(Blame& blame, const CaseArm& arm, const ArmRecording& recording,
                  const fs::path& folder, Progress& progress) {
  progress.show(fmt::format("{} on its own rollouts, plainly", arm.name));
  const int64_t step = blame.step;
  const std::vector<Observation> again =
      observations_of(given(plain(arm), keep_rollouts(arm, step + 1, folder)), step + 1);
  const std::vector<Observation>& seen = recording.ranks.front().observations;
  const auto logprobs = [&](const std::vector<Observation>& observations, RlPhase phase) {
    std::vector<Observation> found = observed_in(observations, step, phase);
    std::erase_if(found, [](const Observation& each) { return site_kind(each.site) != "logprob"; });
    for (Observation& each : found) each.phase = "train";
    return found;
  };
  const std::vector<Observation> plainly = logprobs(again, RlPhase::kRecompute);
  const PairComparison generated =
      compare_streams(logprobs(seen, RlPhase::kGeneration), plainly, Relation());
  const PairComparison recomputed =
      compare_streams(logprobs(seen, RlPhase::kRecompute), plainly, Relation());
  blame.is_open = false;
  const bool is_generation = generated.differs() && !recomputed.differs();
  const bool is_recompute = recomputed.differs() && !generated.differs();
  if (is_generation) blame.phase = RlPhase::kGeneration;
  if (is_recompute) blame.phase = RlPhase::kRecompute;
  blame.is_open = !blame.phase;
  blame.facts.emplace_back(
      "replay", fmt::format("a plain trainer of the same weights differs from the generator on {} "
                            "and from the trainer on {} of {} tokens",
                            generated.different, recomputed.different, plainly.size()));
}

void add_settings(Blame& blame, const CaseArm& a, const CaseArm& b) {
  for (const JsonDifference& each : different_settings(a, b, blame.phase)) {
    blame.facts.emplace_back("setting", each.key + ": " + each.first + " against " + each.second);
  }
}

// "captured", and what else is a side's own.
void add_sides(Blame& blame, const CaseArm& arm) {
  blame.facts.emplace_back("generator", describe(arm.generator));
  blame.facts.emplace_back("trainer", describe(arm.trainer));
}

}  // namespace

std::vector<Blame> blame_run(const BlameOptions& options, Progress& progress) {
  const EndedRun run = open_ended_run(options.run);
  const Case& c = run.settings;
  for (const std::string& arm : options.arms) c.arm(arm);
  const auto is_asked = [&](const std::vector<std::string>& arms) {
    return options.arms.empty() || arms == options.arms;
  };
  if (!options.out.empty()) make_folder(options.out);
  std::vector<Blame> blames;
  for (const Verdict& verdict : judge_case(c, run.recordings)) {
    for (const Verdict::Pair& pair : verdict.pairs) {
      if (!is_asked({pair.a, pair.b})) continue;
      const CaseArm& a = c.arm(pair.a);
      const CaseArm& b = c.arm(pair.b);
      const ArmRecording& of_a = recording_of(run.recordings, pair.a);
      Blame blame = blame_pair(of_a, recording_of(run.recordings, pair.b));
      if (!blame.phase) continue;
      add_settings(blame, a, b);
      if (!options.out.empty() && is_replayable(a) && is_replayable(b)) {
        replay_pair(blame, a, b, of_a, options.out, progress);
      }
      blames.push_back(std::move(blame));
    }
  }
  for (const ArmRecording& recording : run.recordings) {
    const CaseArm& arm = c.arm(recording.arm);
    if (!is_asked({arm.name}) || arm.is_program()) continue;
    const bool is_judged = on_policy_rule(arm).holds != Holds::kNothing || !options.arms.empty();
    Blame blame = is_judged ? blame_sides(arm, recording) : Blame();
    if (!blame.has_moved()) continue;
    add_sides(blame, arm);
    if (blame.is_open && !options.out.empty() && is_replayable(arm)) {
      replay_sides(blame, arm, recording, options.out, progress);
    }
    blames.push_back(std::move(blame));
  }
  progress.clear();
  return blames;
}

std::string text_of(const Blame& blame) {
  const std::string subject =
      blame.arms.size() == 2 ? list_text(blame.arms) : blame.arms.front() + ", its two sides";
  const std::string phase =
      blame.phase ? to_string(*blame.phase) : "generation or recompute, on equal weights";
  std::string text = fmt::format("{}: {}, step {}\n  {:<11} {}\n", subject, phase, blame.step,
                                 "where", blame.where);
  for (const auto& [fact, value] : blame.facts) text += fmt::format("  {:<11} {}\n", fact, value);
  for (const PhaseRow& row : blame.rows) {
    std::string how = "equal";
    if (row.first) how = "differs from step " + std::to_string(row.first->step) + " on";
    if (row.phase == blame.phase) how += ", on equal inputs";
    if (row.replayed_equal) {
      how += fmt::format("; on the rollouts of {} {}", blame.arms.front(),
                         *row.replayed_equal ? "equal" : "different");
    }
    text += fmt::format("  {:<18} {}\n", to_string(row.phase), how);
  }
  return text;
}

}  // namespace samebits
