#include "harness/diagnose/rl_phase.h"

#include <algorithm>
#include <iterator>

#include "harness/compare/divergence.h"

namespace samebits {
namespace {

struct PhaseOfSite {
  const char* phase;  // of the observation
  const char* kind;   // of its site; "" for every other one of that phase
  RlPhase is;
};

// The first that matches. The phase "weights" shows what the optimizer, and what the sync, has
// left.
constexpr PhaseOfSite kSites[] = {
    {"rollout", "draw", RlPhase::kData},
    {"rollout", "completion", RlPhase::kGeneration},
    {"rollout", "logprob", RlPhase::kGeneration},
    {"rollout", "reward", RlPhase::kReward},
    {"rollout", "reward_mean", RlPhase::kReward},
    {"reference", "initial_logprob", RlPhase::kReference},
    {"train", "logprob", RlPhase::kRecompute},
    {"train", "pg", RlPhase::kLoss},
    {"train", "entropy", RlPhase::kLoss},
    {"train", "kl", RlPhase::kLoss},
    {"train", "loss", RlPhase::kLoss},
    {"train", "clipped", RlPhase::kLoss},
    {"train", "", RlPhase::kGradient},
    {"optimizer", "clip_scale", RlPhase::kOptimizer},
    {"optimizer", "master", RlPhase::kOptimizer},
    {"optimizer", "m", RlPhase::kOptimizer},
    {"optimizer", "v", RlPhase::kOptimizer},
    {"optimizer", "", RlPhase::kGradient},
    {"weights", "generator.before", RlPhase::kData},
    {"weights", "generator.after", RlPhase::kSync},
    {"weights", "trainer.after", RlPhase::kSync},
    {"weights", "", RlPhase::kOptimizer},
};

struct PhaseOfSetting {
  const char* key;  // or what it begins with, up to a dot
  RlPhase is;
};

constexpr PhaseOfSetting kSettings[] = {
    {"seed", RlPhase::kData},
    {"model", RlPhase::kData},
    {"workload.draws", RlPhase::kData},
    {"workload.prompts", RlPhase::kData},
    {"workload.tokens", RlPhase::kData},
    {"workload.sequences", RlPhase::kData},
    {"workload.group", RlPhase::kData},
    {"generator", RlPhase::kGeneration},
    {"guards", RlPhase::kGeneration},
    {"passes", RlPhase::kGeneration},
    {"graph", RlPhase::kGeneration},
    {"buckets", RlPhase::kGeneration},
    {"workload.rollouts", RlPhase::kGeneration},
    {"workload.temperature", RlPhase::kGeneration},
    {"workload.top_k", RlPhase::kGeneration},
    {"workload.top_p", RlPhase::kGeneration},
    {"workload.max_new_tokens", RlPhase::kGeneration},
    {"workload.max_batch_tokens", RlPhase::kGeneration},
    {"workload.block_size", RlPhase::kGeneration},
    {"workload.prefix_pages", RlPhase::kGeneration},
    {"workload.prompt_padding", RlPhase::kGeneration},
    {"workload.advantage", RlPhase::kLoss},
    {"workload.loss", RlPhase::kLoss},
    {"workload.gradient_groups", RlPhase::kGradient},
    {"workload.optimizer", RlPhase::kOptimizer},
    {"workload.sync", RlPhase::kSync},
    {"workload.untied_head", RlPhase::kSync},
};

}  // namespace

std::optional<RlPhase> rl_phase_of(const Observation& observation) {
  if (is_operator_site(observation.site)) return std::nullopt;
  const std::string kind = site_kind(observation.site);
  // What the first generation found is given; what a later one did was left by a sync.
  const bool is_given = observation.step == 0;
  if (kind == "generator.before" && !is_given) return RlPhase::kGeneration;
  for (const PhaseOfSite& each : kSites) {
    if (observation.phase == each.phase && (*each.kind == '\0' || kind == each.kind))
      return each.is;
  }
  return std::nullopt;
}

std::vector<Observation> observed_in(const std::vector<Observation>& observations, int64_t step,
                                     RlPhase phase) {
  std::vector<Observation> found;
  std::copy_if(
      observations.begin(), observations.end(), std::back_inserter(found),
      [&](const Observation& each) { return each.step == step && rl_phase_of(each) == phase; });
  return found;
}

std::optional<RlPhase> rl_phase_of_setting(const std::string& key) {
  for (const PhaseOfSetting& each : kSettings) {
    if (key == each.key || key.starts_with(std::string(each.key) + ".")) return each.is;
  }
  return std::nullopt;
}

}  // namespace samebits
