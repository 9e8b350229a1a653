#pragma once

#include <functional>
#include <string>
#include <vector>

#include "harness/graph/address_ledger.h"
#include "harness/graph/arena.h"
#include "harness/graph/arena_allocator.h"
#include "harness/graph/operator_watch.h"

namespace samebits {

// What a stream that captures permits: views, allocations from the pool and launches. Anything that
// would compute or read on the spot, at any depth, throws c10::Error in CUDA's words with the
// operator's name. Notes every tensor from outside the pool in a ledger.
//
// A splitting operator is handed over, as it is called, and not run; inputs that are not static may
// go to splitting operators only.
class CaptureRules final : public OperatorWatch {
 public:
  struct Splitting {
    std::vector<std::string> operators;  // without overload
    std::vector<at::Tensor> inputs;      // that are not static
    // Leaves the call's result on the stack in place of its arguments.
    std::function<void(const c10::OperatorHandle&, torch::jit::Stack*)> split;
  };

  // All but `splitting` are borrowed.
  CaptureRules(const Arena& pool, ArenaGuard& memory, AddressLedger& ledger, Splitting splitting)
      : pool_(pool), memory_(memory), ledger_(ledger), splitting_(std::move(splitting)) {}

  void call(const c10::OperatorHandle& op, c10::DispatchKeySet below,
            torch::jit::Stack* stack) override;

 private:
  // Returns whether a DTensor is among the arguments.
  bool note_arguments(const c10::OperatorHandle& op, const torch::jit::Stack& stack,
                      bool is_splitting);

  const Arena& pool_;
  ArenaGuard& memory_;
  AddressLedger& ledger_;
  Splitting splitting_;
  int depth_ = 0;
};

}  // namespace samebits
