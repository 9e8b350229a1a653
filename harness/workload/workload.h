#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "harness/capture/guard_record.h"
#include "harness/case/case.h"
#include "harness/model/qwen3.h"
#include "harness/workload/observer.h"
#include "harness/workload/witness.h"

namespace samebits {

// What a step leaves for a person and for the witness.
struct StepOutcome {
  std::string completion;  // one sample as text, where there is one
  Counters witness;        // what this step added to each counter
};

// One arm's workload: everything that it needs is made when it is built, and a step is one turn of
// its loop.
class Workload {
 public:
  virtual ~Workload() = default;

  // Runs step `step`, observing in program order.
  virtual StepOutcome step(int64_t step, Observer& observer) = 0;

  // The generator's captured graphs so far, as files that an arm can run from.
  virtual std::vector<std::string> saved_graphs() const = 0;

  // Every guard of the captured graphs, with the sizes at which it was false.
  virtual std::vector<GuardRecord> guards() const = 0;
};

// What can be known of an arm before anything is written: its device, its model's configuration,
// the TP degree, its tokenizer and prompts, the memory of its card. Throws InputError.
void check_arm(const Arm& arm);

// Its device alone.
void check_device(const Arm& arm);

// Builds the workload of an arm. Throws InputError for what its model or prompts cannot do.
std::unique_ptr<Workload> make_workload(const Arm& arm);

// The arm's mesh: one for all of its models, so that weights can be copied between them.
TensorParallel make_parallel(const Arm& arm);

// A model as an arm asks for it, from the arm's folder. `untie_head`: with an output head of its
// own, a copy of the embedding, where the checkpoint ties the two.
std::unique_ptr<Qwen3> make_model(const Arm& arm, const TensorParallel& parallel,
                                  bool untie_head = false);
Numerics numerics_from_settings(const NumericsSettings& settings);

}  // namespace samebits
