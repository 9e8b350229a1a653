#include "harness/compare/on_policy.h"

#include <map>
#include <set>
#include <utility>

#include "harness/compare/verdict.h"

namespace samebits {
namespace {

// The logprobs of one phase, as if the trainer had seen them: the phase is part of what is aligned.
std::vector<Observation> logprobs_of(const ArmRecording& recording, const std::string& phase) {
  std::vector<Observation> logprobs;
  if (recording.ranks.empty()) return logprobs;
  std::set<std::pair<int64_t, std::string>> seen;
  const auto whole_steps = static_cast<int64_t>(recording.steps.size());
  for (const Observation& each : recording.ranks.front().observations) {
    if (!recording.finished && each.step >= whole_steps) break;
    if (each.phase != phase || site_kind(each.site) != "logprob") continue;
    if (!seen.emplace(each.step, each.site).second) continue;  // a later update is off policy
    logprobs.push_back(each);
    logprobs.back().phase = "train";
  }
  return logprobs;
}

std::vector<OnPolicy::Step> steps_of(const std::vector<Observation>& reported,
                                     const std::vector<Observation>& found) {
  std::map<int64_t, OnPolicy::Step> steps;
  for (const auto& [a, b] : align(reported, found)) {
    if (!a || !b) continue;
    OnPolicy::Step& step = steps[reported[*a].step];
    step.step = reported[*a].step;
    ++step.tokens;
    if (reported[*a].digest != found[*b].digest) ++step.different;
    if (has_nonfinite(reported[*a]) || has_nonfinite(found[*b])) ++step.nonfinite;
  }
  std::vector<OnPolicy::Step> list;
  for (const auto& [number, step] : steps) list.push_back(step);
  return list;
}

}  // namespace

int64_t OnPolicy::tokens() const {
  int64_t sum = 0;
  for (const Step& step : steps) sum += step.tokens;
  return sum;
}

int64_t OnPolicy::different() const {
  int64_t sum = 0;
  for (const Step& step : steps) sum += step.different;
  return sum;
}

std::string OnPolicy::text() const {
  if (tokens() == 0) return "no token was scored by generator and trainer";
  const std::string of = std::to_string(tokens()) + " tokens";
  if (different() == 0) return "generator and trainer agree to the bit on " + of;
  return "generator and trainer differ on " + std::to_string(different()) + " of " + of +
         ", by up to " + ulp_text(comparison.max_logprob_ulp);
}

Relation on_policy_rule(const CaseArm& arm) {
  if (arm.on_policy) return *arm.on_policy;
  Relation rule;
  if (is_contracted(arm)) return rule;
  rule.holds = Holds::kNothing;
  rule.reason = "its numerics are not batch-invariant";
  return rule;
}

std::optional<OnPolicy> on_policy_of(const CaseArm& arm, const ArmRecording& recording) {
  const bool is_asked = arm.is_program() && arm.on_policy;  // what a program does, its case says
  if (arm.workload.kind != WorkloadKind::kGrpo && !is_asked) return std::nullopt;
  OnPolicy on_policy;
  on_policy.rule = on_policy_rule(arm);
  const std::vector<Observation> reported = logprobs_of(recording, "rollout");
  const std::vector<Observation> found = logprobs_of(recording, "train");
  on_policy.steps = steps_of(reported, found);
  on_policy.comparison = compare_streams(reported, found, on_policy.rule);
  on_policy.holds = on_policy.rule.holds == Holds::kNothing ||
                    does_hold(on_policy.rule, on_policy.comparison, arm.nonfinite);
  return on_policy;
}

}  // namespace samebits
