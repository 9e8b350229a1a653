#include "harness/run/keep_tensor.h"

#include <fmt/format.h>

#include "harness/run/in_process_arm.h"
#include "harness/run/watchdog.h"

namespace samebits {
namespace {

class NoSink : public ObservationSink {
 public:
  void record(const Observation&) override {}
  void flush() override {}
};

// What is replayed has no operators that could be seen: its graph runs node by node.
CaseArm without_replays(CaseArm arm) {
  for (SideSettings* side : {&arm.generator, &arm.trainer}) {
    if (side->is_replayed()) side->execution = Execution::kCaptured;
  }
  return arm;
}

}  // namespace

Kept keep_tensor(const CaseArm& arm, const ObservationPlace& place) {
  if (arm.is_program() || arm.mesh.has_processes()) return {};
  Activity activity;
  activity.enter(fmt::format("arm {}, keeping {}", arm.name, place.site));
  const Watchdog watchdog(arm.timeout_s, activity);
  NoSink nowhere;
  TensorKeeper keeper(place);
  InProcessArm again(without_replays(arm), Level::kOp, nowhere, activity, Checkpoints());
  again.keep_with(keeper);
  again.prepare();
  for (int64_t step = 0; step <= place.step; ++step) again.step();
  again.stop();
  return {keeper.kept(), keeper.completions()};
}

}  // namespace samebits
