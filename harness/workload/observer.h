#pragma once

#include <ATen/core/Tensor.h>

#include <string>

#include "harness/graph/replay_digests.h"

namespace samebits {

// What a workload tells of itself while it runs, in program order. observe/ implements it; a
// workload knows neither files nor clocks.
class Observer {
 public:
  virtual ~Observer() = default;

  // Everything from here on, costs included, belongs to this phase: "rollout", "reference",
  // "train", "optimizer", "weights", "sync", "score".
  virtual void begin_phase(const std::string& name) = 0;

  // A value at a site of the current phase. Plain or DTensor; a DTensor is seen whole.
  virtual void observe(const std::string& site, const at::Tensor& value) = 0;

  // What a workload does in between serves observation alone, and is no cost of its phase
  // (Observing). They nest.
  virtual void begin_observing() {}
  virtual void end_observing() {}

  // Whether it listens to what the model marks (samebits::mark). Only then do replays, whose
  // operators nobody sees, digest their own marks, and tell of them.
  virtual bool sees_operators() const { return false; }
  virtual void observe_replay(const ReplayDigests& /*digests*/) {}
};

// For as long as it lives, everything serves observation alone. Borrows the observer.
class Observing {
 public:
  explicit Observing(Observer& observer) : observer_(observer) { observer_.begin_observing(); }
  ~Observing() { observer_.end_observing(); }
  Observing(const Observing&) = delete;
  Observing& operator=(const Observing&) = delete;

 private:
  Observer& observer_;
};

}  // namespace samebits
