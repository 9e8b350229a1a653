#pragma once

#include "harness/graph/address_ledger.h"
#include "harness/graph/arena.h"
#include "harness/graph/arena_allocator.h"
#include "harness/graph/operator_watch.h"

namespace samebits {

// What a stream that captures permits: views, allocations from the pool and launches. A value that
// the host reads, at any depth, throws c10::Error in CUDA's words with the operator's name; what
// computes on the spot, which a GPU would launch, NotImplementedError. Notes every tensor from
// outside the pool in a ledger.
class CaptureRules final : public OperatorWatch {
 public:
  // Borrows all three.
  CaptureRules(const Arena& pool, ArenaGuard& memory, AddressLedger& ledger)
      : pool_(pool), memory_(memory), ledger_(ledger) {}

  void call(const c10::OperatorHandle& op, c10::DispatchKeySet below,
            torch::jit::Stack* stack) override;

 private:
  // Returns whether a DTensor is among the arguments.
  bool note_arguments(const c10::OperatorHandle& op, const torch::jit::Stack& stack);

  const Arena& pool_;
  ArenaGuard& memory_;
  AddressLedger& ledger_;
  int depth_ = 0;
};

}  // namespace samebits
