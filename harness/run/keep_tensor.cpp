#include "harness/run/keep_tensor.h"

#include <fmt/format.h>

#include "harness/base/error.h"
#include "harness/dtensor/seen_by_rank.h"
#include "harness/observe/run_files.h"
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

void run_until(const CaseArm& arm, const ObservationPlace& place,
               const std::filesystem::path& folder, int64_t rank, ObservationSink& sink,
               TensorKeeper* keeper) {
  const SeenByRank seen_by(rank);
  Checkpoints from{folder};
  if (!folder.empty() && std::filesystem::exists(run_files::checkpoint(folder, place.step))) {
    from.first_step = place.step;
  }
  Activity activity;
  activity.enter(fmt::format("arm {}, keeping {}", arm.name, place.site));
  const Watchdog watchdog(arm.timeout_s, activity);
  InProcessArm again(arm, Level::kOp, sink, activity, from);
  if (keeper != nullptr) again.keep_with(*keeper);
  again.prepare();
  for (int64_t step = from.first_step; step <= place.step; ++step) again.step();
  again.stop();
}

bool is_of_this_process(const CaseArm& arm) {
  return !arm.is_program() && !arm.mesh.has_processes();
}

}  // namespace

bool is_replayed(const CaseArm& arm) {
  return arm.generator.is_replayed() || arm.trainer.is_replayed();
}

CaseArm without_replays(CaseArm arm) {
  for (SideSettings* side : {&arm.generator, &arm.trainer}) {
    if (side->is_replayed()) side->execution = Execution::kCaptured;
  }
  return arm;
}

CaseArm in_this_process(CaseArm arm) {
  const bool can_be = arm.mesh.kind == MeshKind::kGloo && arm.mesh.dp == 1;
  if (can_be && arm.device == DeviceKind::kCpu) arm.mesh.kind = MeshKind::kLocal;
  return arm;
}

Kept keep_tensor(const CaseArm& arm, const ObservationPlace& place,
                 const std::filesystem::path& folder, int64_t rank) {
  if (!is_of_this_process(arm)) return {};
  NoSink nowhere;
  TensorKeeper keeper(place);
  try {
    run_until(arm, place, folder, rank, nowhere, &keeper);
  } catch (const RunError&) {  // a step may break after the place
    if (!keeper.kept().is_known()) throw;
  } catch (const InputError&) {
    if (!keeper.kept().is_known()) throw;
  }
  return {keeper.kept(), keeper.completions()};
}

std::optional<Observation> observe_again(const CaseArm& arm, const ObservationPlace& place,
                                         const std::filesystem::path& folder, int64_t rank) {
  if (!is_of_this_process(arm)) return std::nullopt;
  PlaceSink sink(place);
  run_until(arm, place, folder, rank, sink, nullptr);
  return sink.found();
}

}  // namespace samebits
