#pragma once

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/stack.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "harness/capture/guard_watch.h"
#include "harness/graph/operator_watch.h"
#include "harness/plant/fault.h"
#include "harness/plant/reversed_product.h"
#include "harness/plant/unmasked_attention.h"

namespace samebits {

// One execution of an operator on plain tensors, as a run that counts them sees it.
struct Executed {
  struct Result {
    int64_t elements = 0;
    int64_t element_bits = 0;
    bool is_float = false;
    bool is_argument = false;  // that the operator writes
  };
  int64_t step = 0;
  std::string phase;
  std::string op;
  int64_t call = 0;  // Fault::call
  int64_t rank = 0;  // Fault::rank
  // A rank's part of what the program called over a mesh, and no part of that: each rank executes
  // it alike, whether the ranks share a process or not.
  bool is_of_each_rank = false;
  bool is_guard = false;  // that was false: `op` is its condition, and it has no result
  std::vector<Result> results = {};
};

// Watches the operators of a thread while it is put on (OperatorWatchGuard), and plants one fault
// among their executions, or counts them. An execution is that of the outermost call on plain
// tensors: what the program calls or, over a mesh, what each rank does of it. What a replay graph
// captures is followed by a launch of its own, so that it is counted, and changed, as it is
// replayed. It must outlive such graphs. Of CPUs alone.
class Planter final : public OperatorWatch, public GuardWatch {
 public:
  // A fault that is none: counts. `first_rank`: of the mesh, the first whose executions are this
  // process's.
  explicit Planter(Fault fault, int64_t first_rank = 0)
      : fault_(std::move(fault)), first_rank_(first_rank) {}

  // What is executed from here on belongs to this step, and to this phase.
  void begin_step(int64_t step);
  void begin_phase(const std::string& phase) {
    phase_ = phase;
    program_calls_.clear();
  }

  // How the fault was executed in this step; nullopt where it was not.
  const std::optional<FaultWitness>& witness() const { return witness_; }

  // What was counted, in order.
  const std::vector<Executed>& executions() const { return executions_; }

  void call(const c10::OperatorHandle& op, c10::DispatchKeySet below,
            torch::jit::Stack* stack) override;

  // Each false guard counts as executed, by its condition.
  bool passes(const std::string& condition, const std::string& guard,
              const std::string& sizes) override;

 private:
  struct Open {  // a call that has not returned
    const std::string* op;
    bool is_plain;
    bool is_composed = false;                     // of calls that are looked at themselves
    std::map<std::string, int64_t> by_rank = {};  // over a mesh: calls of the ranks so far
  };
  struct Memory {
    std::byte* data;
    int64_t elements;
    size_t element_size;
    bool is_float;
    bool is_argument;
    size_t bytes() const { return static_cast<size_t>(elements) * element_size; }
  };
  struct Product {  // that the operator is, or adds: linear, or its gradients'
    ProductOperand a;
    ProductOperand b;
    int64_t columns;
    int64_t terms;
  };
  struct Call {
    const std::string* op;
    const std::string* caller;  // what the program called, of which it is a part
    std::optional<int64_t> caller_call = {};
    int64_t rank = 0;
    bool is_over_mesh = false;
    std::vector<Memory> results = {};
    std::optional<Product> product = {};
    std::optional<AttentionOperands> attention = {};
    std::vector<c10::IValue> held = {};  // kSwap: results, until the other rank has its own
  };

  bool is_there() const { return step_ == fault_.step && phase_ == fault_.phase; }
  bool is_looked_at(const std::string& op) const;
  int64_t& calls_of(const Call& call) { return calls_[{phase_, *call.op, call.rank}]; }
  int64_t* next_rank_of(const std::string& op);
  void before(const Call& call);
  void after(const Call& call);
  void plant(const Call& call);
  void swap(const Call& first, const Call& second);
  template <typename Change>
  void change(const Call& call, const Memory& memory, const Change& how);
  static std::optional<Product> product_of(const c10::OperatorHandle& op,
                                           const torch::jit::Stack& stack);
  static std::optional<AttentionOperands> attention_of(const c10::OperatorHandle& op,
                                                       const torch::jit::Stack& stack);
  static std::vector<Memory> written_by(const c10::OperatorHandle& op,
                                        const torch::jit::Stack& stack);
  static std::vector<Memory> returned_by(const c10::OperatorHandle& op,
                                         const torch::jit::Stack& stack);

  Fault fault_;
  int64_t first_rank_;
  int64_t step_ = -1;
  std::string phase_;
  std::vector<Open> open_;
  // In this step, by phase, operator and rank.
  std::map<std::tuple<std::string, std::string, int64_t>, int64_t> calls_;
  // Those that the program made itself since the phase began, which a step may begin anew.
  std::map<std::pair<std::string, std::string>, int64_t> program_calls_;
  std::deque<Call> captured_;                  // that launches point to
  std::vector<std::vector<std::byte>> saved_;  // what the call was to write over
  std::vector<std::byte> last_;                // kStale: what the call before left
  std::optional<Call> first_;                  // kSwap: the call of the one rank, just executed
  std::optional<FaultWitness> witness_;
  std::vector<Executed> executions_;
};

}  // namespace samebits
