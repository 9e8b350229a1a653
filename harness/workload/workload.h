#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "harness/core/case.h"
#include "harness/core/guard_record.h"
#include "harness/model/qwen3.h"
#include "harness/workload/observer.h"

namespace samebits {

// A reading of an arm's counters, by name.
using Counters = std::vector<std::pair<std::string, int64_t>>;

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

  // The captured graphs so far, for a person.
  virtual std::vector<std::string> printed_graphs() const { return {}; }

  // The generator's as files that an arm can run from.
  virtual std::vector<std::string> saved_graphs() const { return {}; }

  // Every guard of those graphs, with the sizes at which it was false.
  virtual std::vector<GuardRecord> guards() const { return {}; }
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

// A model as an arm asks for it, from the arm's folder.
std::unique_ptr<Qwen3> make_model(const Arm& arm, const TensorParallel& parallel);
Numerics numerics_from_settings(const NumericsSettings& settings);

// The counters' growth from one reading to the next; both name the same counters.
Counters growth_of(const Counters& before, const Counters& after);

// Why what a step counted does not prove that the arm ran in its mode: a captured generator that
// executed no node or let model code compute outside its graph, one that replays graphs and
// replayed none or did anything but launches in a replay, an eager one that ran none; a trainer or
// an optimizer likewise. "" when it does prove it.
std::string witness_failure(const Arm& arm, const Counters& growth);

}  // namespace samebits
