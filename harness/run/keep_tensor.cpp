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

// Keeps the observation of one place.
class PlaceSink : public ObservationSink {
 public:
  explicit PlaceSink(ObservationPlace place) : place_(std::move(place)) {}
  void record(const Observation& each) override {
    if (each.step != place_.step || each.phase != place_.phase || each.site != place_.site) return;
    if (seen_++ == place_.occurrence) found_ = each;
  }
  void flush() override {}
  const std::optional<Observation>& found() const { return found_; }

 private:
  ObservationPlace place_;
  int64_t seen_ = 0;
  std::optional<Observation> found_;
};

void run_until(const CaseArm& arm, const ObservationPlace& place, ObservationSink& sink,
               TensorKeeper* keeper) {
  Activity activity;
  activity.enter(fmt::format("arm {}, keeping {}", arm.name, place.site));
  const Watchdog watchdog(arm.timeout_s, activity);
  InProcessArm again(arm, Level::kOp, sink, activity, Checkpoints());
  if (keeper != nullptr) again.keep_with(*keeper);
  again.prepare();
  for (int64_t step = 0; step <= place.step; ++step) again.step();
  again.stop();
}

bool is_of_this_process(const CaseArm& arm) {
  return !arm.is_program() && !arm.mesh.has_processes();
}

// What is replayed has no operators that could be seen: its graph runs node by node.
CaseArm without_replays(CaseArm arm) {
  for (SideSettings* side : {&arm.generator, &arm.trainer}) {
    if (side->is_replayed()) side->execution = Execution::kCaptured;
  }
  return arm;
}

}  // namespace

Kept keep_tensor(const CaseArm& arm, const ObservationPlace& place) {
  if (!is_of_this_process(arm)) return {};
  NoSink nowhere;
  TensorKeeper keeper(place);
  run_until(without_replays(arm), place, nowhere, &keeper);
  return {keeper.kept(), keeper.completions()};
}

std::optional<Observation> observe_again(const CaseArm& arm, const ObservationPlace& place) {
  if (!is_of_this_process(arm)) return std::nullopt;
  PlaceSink sink(place);
  run_until(arm, place, sink, nullptr);
  return sink.found();
}

}  // namespace samebits
