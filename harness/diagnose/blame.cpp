#include "harness/diagnose/blame.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "harness/compare/on_policy.h"
#include "harness/compare/repeated_steps.h"
#include "harness/compare/sync_check.h"

namespace samebits {
namespace {

const std::vector<Observation>& seen_by(const ArmRecording& recording) {
  return recording.ranks.front().observations;
}

// What both have; steps that one of them alone has say nothing about a part of the loop.
int64_t common_steps(const ArmRecording& a, const ArmRecording& b) {
  const auto steps = [](const ArmRecording& arm) {
    int64_t last = -1;
    for (const Observation& each : seen_by(arm)) last = std::max(last, each.step);
    return last + 1;
  };
  return std::min(steps(a), steps(b));
}

// Digests of the weights at sites of a kind, by the weight's name: "" for a site that is the name.
std::map<std::string, Digest> weights_at(const std::vector<Observation>& observations, int64_t step,
                                         const std::string& kind) {
  std::map<std::string, Digest> weights;
  for (const Observation& each : observations) {
    if (each.step != step || each.phase != "weights") continue;
    const size_t bracket = each.site.find('[');
    const bool is_indexed = bracket != std::string::npos;
    if (is_indexed != !kind.empty()) continue;
    if (!is_indexed) weights[each.site] = each.digest;
    if (is_indexed && each.site.substr(0, bracket) == kind) {
      weights[each.site.substr(bracket + 1, each.site.size() - bracket - 2)] = each.digest;
    }
  }
  return weights;
}

// Weights of which generator and trainer had other ones in a step; of step 0 nothing is known of
// the trainer's, which are those of the checkpoint.
std::vector<std::string> apart_in(const std::vector<Observation>& observations, int64_t step) {
  std::vector<std::string> apart;
  if (step == 0) return apart;
  const auto generator = weights_at(observations, step, "generator.before");
  for (const auto& [name, digest] : weights_at(observations, step - 1, "")) {
    const auto found = generator.find(name);
    if (found == generator.end() || found->second != digest) apart.push_back(name);
  }
  return apart;
}

const SyncCheck* sync_of_step(const std::vector<SyncCheck>& syncs, int64_t step) {
  for (const SyncCheck& each : syncs) {
    if (each.step == step) return &each;
  }
  return nullptr;
}

// Blames the sync of a step. How it goes on tells a sync that does nothing from one that is late.
void blame_sync(Blame& blame, const std::vector<SyncCheck>& syncs, int64_t step) {
  for (const SyncCheck& sync : syncs) {
    if (sync.step < step || sync.is_whole()) continue;
    if (sync.step > step) {
      blame.facts.emplace_back("then", sync.text());
      return;
    }
    blame.phase = RlPhase::kSync;
    blame.step = step;
    blame.where = sync.text();
  }
}

}  // namespace

Blame blame_pair(const ArmRecording& a, const ArmRecording& b) {
  Blame blame;
  blame.arms = {a.arm, b.arm};
  for (const auto& [name, phase] : names_of(RlPhase())) blame.rows.push_back({phase});
  const int64_t steps = common_steps(a, b);
  for (int64_t step = 0; step < steps; ++step) {
    for (PhaseRow& row : blame.rows) {
      const PairComparison comparison =
          compare_streams(observed_in(seen_by(a), step, row.phase),
                          observed_in(seen_by(b), step, row.phase), Relation());
      row.compared += comparison.compared;
      if (!comparison.first) continue;
      if (!row.first) row.first = comparison.first;
      if (blame.phase) continue;
      blame.phase = row.phase;
      blame.step = step;
      blame.where = comparison.first->text();
    }
  }
  std::erase_if(blame.rows, [](const PhaseRow& row) { return row.compared == 0 && !row.first; });
  return blame;
}

Blame blame_sides(const CaseArm& arm, const ArmRecording& recording) {
  Blame blame;
  blame.arms = {arm.name};
  const std::optional<OnPolicy> on_policy = on_policy_of(arm, recording);
  if (!on_policy) return blame;
  const std::vector<Observation>& observations = seen_by(recording);
  const std::vector<SyncCheck> syncs = sync_checks(observations);
  for (const RepeatedStep& each : repeated_steps(arm, observations)) {
    blame.facts.emplace_back("repeats", each.text());
  }
  for (const OnPolicy::Step& step : on_policy->steps) {
    if (step.different == 0) continue;
    blame.facts.emplace_back("off policy",
                             fmt::format("from step {} on: {}", step.step, on_policy->text()));
    const std::vector<std::string> apart = apart_in(observations, step.step);
    const SyncCheck* sync = sync_of_step(syncs, step.step - 1);
    if (!apart.empty() && sync != nullptr && !sync->is_whole()) {
      blame_sync(blame, syncs, sync->step);
      blame.facts.emplace_back(
          "weights", fmt::format("{} differ between the sides in step {}, first {}", apart.size(),
                                 step.step, apart.front()));
      return blame;
    }
    blame.is_open = true;
    blame.step = step.step;
    if (const auto& first = on_policy->comparison.first) blame.where = first->text();
    return blame;
  }
  // Weights may stay behind without moving a logprob.
  for (const SyncCheck& sync : syncs) {
    if (sync.is_whole()) continue;
    blame_sync(blame, syncs, sync.step);
    break;
  }
  return blame;
}

std::vector<JsonDifference> different_settings(const CaseArm& a, const CaseArm& b,
                                               std::optional<RlPhase> phase) {
  std::vector<JsonDifference> found = setting_differences(a, b);
  std::stable_partition(found.begin(), found.end(), [&](const JsonDifference& each) {
    return phase && rl_phase_of_setting(each.key) == phase;
  });
  return found;
}

}  // namespace samebits
