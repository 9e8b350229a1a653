#pragma once

#include <memory>
#include <string>
#include <vector>

#include "harness/run/arm.h"
#include "harness/workload/workload.h"

namespace samebits {

// Runs one step of a workload and tells `observer` of it. What goes wrong in it is a RunError in
// one line that names step, rank and phase, and of a card's failure the operator; bad input stays
// InputError. What was seen before is kept.
StepRecord run_step(Workload& workload, int64_t step, StepObserver& observer);

// An arm whose ranks all live in this process, as a workload of this program.
class InProcessArm : public Arm {
 public:
  InProcessArm(const CaseArm& settings, Level level, ArmRecorder& recorder, Activity& activity);

  void prepare() override;
  StepRecord step() override;
  std::vector<GuardRecord> guards() const override;
  std::vector<std::string> saved_graphs() const override;
  void stop() override { workload_.reset(); }

 private:
  CaseArm settings_;
  Activity& activity_;
  StepObserver observer_;
  std::unique_ptr<Workload> workload_;
  int64_t next_step_ = 0;
};

}  // namespace samebits
