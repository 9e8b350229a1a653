#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "harness/execution/program.h"
#include "harness/mesh/world.h"
#include "harness/model/decoder.h"
#include "harness/workload/observer.h"
#include "harness/workload/replicas.h"
#include "harness/workload/settings.h"
#include "harness/workload/state.h"

namespace samebits {

// One arm's workload: everything that it needs is made when it is built, and a step is one turn of
// its loop.
class Workload {
 public:
  virtual ~Workload() = default;

  // Runs step `step`, observing in program order. Returns one sample as text, where there is one.
  virtual std::string step(int64_t step, Observer& observer) = 0;

  // What its steps so far have left behind, and going on from that: with the state of an arm of the
  // same settings after some steps, at whatever layout of ranks, the next step gives the bits that
  // it gave there. Collective over the arm's ranks. Steps may leave nothing behind.
  virtual State state() const { return {}; }
  virtual void load(const State& /*state*/) {}

  // What it executes, in the order of a step: the generator, the trainer, the optimizer.
  virtual std::vector<const ProgramRecord*> programs() const = 0;
};

// What can be known of an arm before anything is written: its device, its model's configuration,
// the TP degree, its tokenizer and prompts, the memory of its card. Throws InputError.
void check_arm(const ArmSettings& arm);

// Its device alone.
void check_device(const ArmSettings& arm);

// Whether its mesh and numerics can serve its generator's mode.
void check_mode(const ArmSettings& arm);

// Builds the workload of an arm, in a process that hosts all of its ranks, or that is one of them:
// `world`, borrowed. Throws InputError for what its model or prompts cannot do.
std::unique_ptr<Workload> make_workload(const ArmSettings& arm, World* world = nullptr);

// The arm's mesh: one for all of its models, so that weights can be copied between them.
TensorParallel make_parallel(const ArmSettings& arm, World* world = nullptr);

// The other replicas of a rank; nobody without a world.
Replicas make_replicas(World* world);

// A side's model as an arm asks for it, from the arm's folder. `untie_head`: with an output head of
// its own, a copy of the embedding, where the checkpoint ties the two.
std::unique_ptr<Decoder> make_model(const ArmSettings& arm, const SideSettings& side,
                                    const TensorParallel& parallel, bool untie_head = false);

}  // namespace samebits
