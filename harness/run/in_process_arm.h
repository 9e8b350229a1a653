#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "harness/plant/planter.h"
#include "harness/run/arm.h"
#include "harness/run/checkpoint.h"
#include "harness/workload/workload.h"

namespace samebits {

// Runs one step of a workload and tells `observer` of it. What goes wrong in it is a RunError in
// one line that names step, rank and phase, and of a card's failure the operator; bad input stays
// InputError. What was seen before is kept.
StepRecord run_step(Workload& workload, int64_t step, StepObserver& observer);

// An arm as a workload of this process: all of its ranks, or the one that `world` says. Rank 0
// keeps the checkpoints, which is collective over the ranks; each reads the one that it goes on
// from. The arguments by reference, and the world, are borrowed.
class InProcessArm : public Arm {
 public:
  InProcessArm(const CaseArm& settings, Level level, ObservationSink& sink, Activity& activity,
               const Checkpoints& checkpoints, World* world = nullptr);

  void keep_with(TensorKeeper& keeper) { observer_.keep_with(keeper); }
  // Has the tensors kept that the arm's `keep` says, where it says any, and written to `file` when
  // the arm stops.
  void keep_sites(std::filesystem::path file);
  // Has the operators' executions counted by `planter`, borrowed, where the arm plants no fault of
  // its own.
  void count_with(Planter& planter);
  void prepare() override;
  int64_t steps() const override { return settings_.steps; }
  StepRecord step() override;
  void keep_checkpoint() override;
  std::vector<GuardRecord> guards() const override;
  std::vector<std::string> saved_graphs() const override;
  void stop() override;
  // Of a fault that was executed in the step that ran last, whether or not that came to its end.
  std::optional<FaultWitness> witness() const {
    return planter_ == nullptr ? std::nullopt : planter_->witness();
  }
  State state() const { return workload_->state(); }  // what its steps have left behind

 private:
  struct Planting {
    explicit Planting(Planter& planter) : operators(planter), guards(planter) {}
    OperatorWatchGuard operators;
    GuardWatchGuard guards;
  };
  std::unique_ptr<Planting> planting();

  CaseArm settings_;
  Activity& activity_;
  Checkpoints checkpoints_;
  World* world_;
  StepObserver observer_;
  Level level_;
  std::optional<SiteKeeper> site_keeper_;
  std::filesystem::path kept_file_;
  Planter* planter_ = nullptr;
  std::optional<Planter> own_planter_;  // outlives the graphs that the workload captures
  std::unique_ptr<Workload> workload_;
  int64_t next_step_ = 0;
};

}  // namespace samebits
