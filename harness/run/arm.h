#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "harness/case/case.h"
#include "harness/execution/program.h"
#include "harness/observe/arm_recorder.h"
#include "harness/observe/step_observer.h"
#include "harness/run/progress.h"
#include "harness/run/rank_pool.h"
#include "harness/run/watchdog.h"

namespace samebits {

// An arm that runs. Its steps are asked for in order; what they show goes into the arm's recorder
// as it happens, so that an arm that breaks leaves what it had seen.
class Arm {
 public:
  virtual ~Arm() = default;

  // Makes everything that the steps need. Throws InputError for what its settings cannot do, and
  // RunError, in one line that names the arm, for what breaks.
  virtual void prepare() = 0;

  // How many steps it has: the case's, or what another program turned out to do. After prepare().
  virtual int64_t steps() const = 0;

  // Runs the next step: observations go to the recorder, costs and the witness into the record.
  // RunError in one line that names arm, step, rank and phase.
  virtual StepRecord step() = 0;

  // Keeps what the steps so far have left behind, where that is due; after each step.
  virtual void keep_checkpoint() {}

  // Of what ran so far.
  virtual std::vector<GuardRecord> guards() const = 0;
  virtual std::vector<std::string> saved_graphs() const = 0;

  // Gives back what prepare() made.
  virtual void stop() = 0;
};

// Every kind of arm: of this process, of ranks in processes of their own (those of `launched`, or
// new ones), another program. `recorder`, `activity`, which is told where the arm stands, and
// `progress` are borrowed.
std::unique_ptr<Arm> make_arm(const CaseArm& settings, Level level, ArmRecorder& recorder,
                              Activity& activity, Progress& progress, RankPool* launched);

}  // namespace samebits
