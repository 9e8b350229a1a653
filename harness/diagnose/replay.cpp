#include "harness/diagnose/replay.h"

#include <fmt/format.h>

#include <string>

#include "harness/compare/divergence.h"
#include "harness/run/in_process_arm.h"
#include "harness/run/watchdog.h"
#include "harness/workload/workload.h"

namespace samebits {
namespace {

// Keeps what a loop tells of its rollouts, in the order of its sequences.
class RolloutKeeper : public Observer {
 public:
  void begin_phase(const std::string& name) override { is_rollout_ = name == "rollout"; }
  void observe(const std::string& site, const at::Tensor& value) override {
    if (!is_rollout_) return;
    const std::string kind = site_kind(site);
    if (kind == "completion") {
      const auto* ids = value.const_data_ptr<int64_t>();
      kept.push_back({{ids, ids + value.numel()}, {}, std::nullopt});
    } else if (kind == "logprob") {
      kept.back().logprobs.push_back(value.item<float>());
    } else if (kind == "reward") {
      kept.back().reward = value.item<float>();
    }
  }

  std::vector<Rollout> kept;

 private:
  bool is_rollout_ = false;
};

CaseArm in_this_process(CaseArm arm) {
  arm.mesh.kind = MeshKind::kLocal;
  return arm;
}

}  // namespace

RolloutsByStep rollouts_of(const CaseArm& arm, int64_t steps) {
  Activity activity;
  activity.enter(fmt::format("arm {}, its rollouts", arm.name));
  const Watchdog watchdog(arm.timeout_s, activity);
  const std::unique_ptr<Workload> workload = make_workload(in_this_process(arm));
  RolloutsByStep rollouts;
  for (int64_t step = 0; step < steps; ++step) {
    RolloutKeeper keeper;
    workload->step(step, keeper);
    rollouts.push_back(std::move(keeper.kept));
  }
  return rollouts;
}

std::vector<Observation> observations_of(const CaseArm& arm, int64_t steps) {
  Activity activity;
  activity.enter(fmt::format("arm {}, again", arm.name));
  const Watchdog watchdog(arm.timeout_s, activity);
  MemorySink sink;
  InProcessArm again(in_this_process(arm), Level::kStep, sink, activity, Checkpoints());
  again.prepare();
  for (int64_t step = 0; step < steps; ++step) again.step();
  again.stop();
  return sink.observations;
}

}  // namespace samebits
