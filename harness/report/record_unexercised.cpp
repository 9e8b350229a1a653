#include <algorithm>
#include <functional>

#include "harness/report/record_parts.h"

namespace samebits {
namespace {

bool has_arm(const std::vector<ArmRecording>& recordings, const std::string& name) {
  return std::any_of(recordings.begin(), recordings.end(),
                     [&](const ArmRecording& each) { return each.arm == name; });
}

// Whether an arm that ran has an observation of which this is true.
using OfObservation = std::function<bool(const CaseArm&, const Observation&)>;
bool any_observation(const Case& c, const std::vector<ArmRecording>& recordings,
                     const OfObservation& is_true) {
  for (const ArmRecording& recording : recordings) {
    if (recording.ranks.empty()) continue;
    const CaseArm& arm = c.arm(recording.arm);
    for (const Observation& each : recording.ranks.front().observations) {
      if (is_true(arm, each)) return true;
    }
  }
  return false;
}

void add_modes(std::vector<std::string>& list, const std::vector<const CaseArm*>& arms) {
  const auto none = [&](const std::function<bool(const CaseArm&)>& is_true) {
    return std::none_of(arms.begin(), arms.end(),
                        [&](const CaseArm* arm) { return is_true(*arm); });
  };
  if (none([](const CaseArm& arm) { return arm.mesh.tp > 1; })) {
    list.emplace_back("Sharding: every arm ran at TP 1.");
  }
  if (none([](const CaseArm& arm) { return arm.mesh.dp > 1; })) {
    list.emplace_back("Replicas: every arm ran at DP 1.");
  }
  if (none([](const CaseArm& arm) { return arm.mesh.has_processes(); })) {
    list.emplace_back("Transport: every arm ran in one process.");
  }
  const bool is_eager =
      none([](const CaseArm& arm) { return arm.generator.is_traced() || arm.trainer.is_traced(); });
  if (is_eager) {
    list.emplace_back("Capture: every arm ran eagerly.");
  } else if (none([](const CaseArm& arm) {
               return arm.generator.is_replayed() || arm.trainer.is_replayed();
             })) {
    list.emplace_back("Replays: no arm replayed a graph.");
  }
}

void add_training(std::vector<std::string>& list, const Case& c,
                  const std::vector<ArmRecording>& recordings) {
  const auto any = [&](const OfObservation& is_true) {
    return any_observation(c, recordings, is_true);
  };
  if (!any([](const CaseArm&, const Observation& each) { return each.step > 0; })) {
    list.emplace_back(
        "A second step: the optimizer's state, a sync and fresh draws show only from it on.");
  }
  const bool is_clipped = any([](const CaseArm& arm, const Observation& each) {
    return each.site == "grad_norm" && scalar_value(each) > arm.workload.optimizer.clip_norm;
  });
  if (!is_clipped) list.emplace_back("Clipping of the gradient: its norm never passed clip_norm.");
}

void add_rollouts(std::vector<std::string>& list, const Case& c,
                  const std::vector<ArmRecording>& recordings) {
  const bool is_synced = any_observation(c, recordings, [](const CaseArm& arm, const Observation&) {
    return arm.workload.kind == WorkloadKind::kGrpo && arm.workload.sync.is_on;
  });
  if (!is_synced) list.emplace_back("A weight sync: every generator kept its first weights.");
  const bool has_ratio =
      any_observation(c, recordings, [](const CaseArm&, const Observation& each) {
        return each.site == "clipped" && scalar_value(each) > 0;
      });
  if (!has_ratio) list.emplace_back("Clipping of the ratio: no sequence left its range.");
  const bool has_end =
      any_observation(c, recordings, [](const CaseArm& arm, const Observation& each) {
        return site_kind(each.site) == "completion" && each.shape.size() == 1 &&
               each.shape[0] < arm.workload.max_new_tokens;
      });
  if (!has_end) list.emplace_back("An end of text: every completion has max_new_tokens tokens.");
}

}  // namespace

std::vector<std::string> unexercised_by(const Case& c,
                                        const std::vector<ArmRecording>& recordings) {
  std::vector<std::string> list;
  std::vector<const CaseArm*> arms;
  std::vector<std::string> absent;
  for (const CaseArm& arm : c.arms) {
    if (has_arm(recordings, arm.name)) {
      if (!arm.is_program()) arms.push_back(&arm);
    } else {
      absent.push_back(arm.name);
    }
  }
  if (!absent.empty()) list.push_back("Arms of the case: " + list_text(absent) + ".");
  if (arms.empty()) return list;  // of another program nobody knows what it could have done
  add_modes(list, arms);
  const auto any = [&](bool (*is_true)(WorkloadKind)) {
    return std::any_of(arms.begin(), arms.end(),
                       [&](const CaseArm* arm) { return is_true(arm->workload.kind); });
  };
  if (any(is_trained)) add_training(list, c, recordings);
  if (any([](WorkloadKind kind) { return kind == WorkloadKind::kGrpo; })) {
    add_rollouts(list, c, recordings);
  }
  return list;
}

}  // namespace samebits
