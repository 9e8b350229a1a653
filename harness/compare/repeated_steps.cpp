#include "harness/compare/repeated_steps.h"

#include <map>
#include <utility>

#include "harness/compare/divergence.h"

namespace samebits {
namespace {

using Digests = std::vector<Digest>;
using ByStep = std::map<int64_t, Digests>;

// "weights", "rollouts", ... of an observation; "" for what a step need not move.
std::string what_of(const Observation& each) {
  const std::string kind = site_kind(each.site);
  if (each.phase == "rollout") {
    if (kind == "completion" || kind == "logprob") return "rollouts";
    if (kind == "reward") return "rewards";
    if (kind == "draw") return "draws";
  }
  // Without an index it is the trainer's, after the optimizer.
  return each.phase == "weights" && kind == each.site ? "weights" : "";
}

// What the generator began with, in the place of the trainer's weights before the first step.
Digests first_weights(const std::vector<Observation>& observations) {
  Digests weights;
  for (const Observation& each : observations) {
    if (each.step != 0) break;
    if (site_kind(each.site) == "generator.before") weights.push_back(each.digest);
  }
  return weights;
}

RepeatedStep repeats_of(const std::string& what, const ByStep& steps) {
  RepeatedStep repeated;
  repeated.what = what;
  const Digests* before = nullptr;
  for (const auto& [step, digests] : steps) {
    if (before != nullptr) {
      ++repeated.steps;
      if (*before == digests && ++repeated.times == 1) repeated.first = step;
    }
    before = &digests;
  }
  return repeated;
}

}  // namespace

std::string RepeatedStep::text() const {
  const std::string step = std::to_string(first);
  const std::string before =
      first == 0 ? "the first ones" : "those of step " + std::to_string(first - 1);
  return "the " + what + " of step " + step + " are " + before + " (in " + std::to_string(times) +
         " of " + std::to_string(steps) + " steps)";
}

std::vector<RepeatedStep> repeated_steps(const CaseArm& arm,
                                         const std::vector<Observation>& observations) {
  if (!is_trained(arm.workload.kind)) return {};
  std::map<std::string, ByStep> kinds;
  if (Digests first = first_weights(observations); !first.empty()) {
    kinds["weights"][-1] = std::move(first);
  }
  for (const Observation& each : observations) {
    const std::string what = what_of(each);
    if (!what.empty()) kinds[what][each.step].push_back(each.digest);
  }
  std::vector<RepeatedStep> list;
  for (const char* what : {"weights", "rollouts", "draws", "rewards"}) {
    RepeatedStep repeated = repeats_of(what, kinds[what]);
    if (repeated.times == 0) continue;
    if (repeated.what == "weights") repeated.accepted = arm.repeats.weights;
    if (repeated.what == "rollouts") repeated.accepted = arm.repeats.rollouts;
    if (repeated.what == "draws" && arm.workload.draws != Draws::kPerStep) {
      repeated.accepted = "workload.draws is " + to_string(arm.workload.draws);
    }
    repeated.is_fault = repeated.what != "rewards" && repeated.accepted.empty();
    list.push_back(std::move(repeated));
  }
  return list;
}

}  // namespace samebits
