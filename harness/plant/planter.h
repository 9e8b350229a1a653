#pragma once

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/stack.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "harness/graph/operator_watch.h"
#include "harness/plant/fault.h"
#include "harness/plant/reversed_product.h"

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
  int64_t rank = 0;  // FaultWitness::rank
  std::vector<Result> results;
};

// Watches the operators of a thread while it is put on (OperatorWatchGuard), and plants one fault
// among their executions, or counts them. An execution is that of the outermost call on plain
// tensors: what the program calls or, over a mesh, what each rank does of it. What a replay graph
// captures is followed by a launch of its own, so that it is counted, and changed, as it is
// replayed. It must outlive such graphs. Of CPUs alone.
class Planter final : public OperatorWatch {
 public:
  // A fault that is none: counts.
  explicit Planter(Fault fault) : fault_(std::move(fault)) {}

  // What is executed from here on belongs to this step, and to this phase.
  void begin_step(int64_t step);
  void begin_phase(const std::string& phase) { phase_ = phase; }

  // How the fault was executed in this step; nullopt where it was not.
  const std::optional<FaultWitness>& witness() const { return witness_; }

  // What was counted, in order.
  const std::vector<Executed>& executions() const { return executions_; }

  void call(const c10::OperatorHandle& op, c10::DispatchKeySet below,
            torch::jit::Stack* stack) override;

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
  struct Product {  // that the operator is: linear, or its gradient's
    ProductOperand a;
    ProductOperand b;
    int64_t columns;
    int64_t terms;
  };
  struct Call {
    const std::string* op;
    const std::string* caller;  // what the program called, of which it is a part
    int64_t rank = 0;
    std::vector<Memory> results = {};
    std::optional<Product> product = {};
  };

  bool is_there() const { return step_ == fault_.step && phase_ == fault_.phase; }
  bool is_looked_at(const std::string& op) const;
  int64_t rank_of_call(const std::string& op);
  void before(const Call& call);
  void after(const Call& call);
  void plant(const Call& call);
  template <typename Change>
  void change(const Call& call, const Memory& memory, const Change& how);
  static std::optional<Product> product_of(const c10::OperatorHandle& op,
                                           const torch::jit::Stack& stack);
  static std::vector<Memory> written_by(const c10::OperatorHandle& op,
                                        const torch::jit::Stack& stack);
  static std::vector<Memory> returned_by(const c10::OperatorHandle& op,
                                         const torch::jit::Stack& stack);

  Fault fault_;
  int64_t step_ = -1;
  std::string phase_;
  std::vector<Open> open_;
  std::map<std::pair<std::string, std::string>, int64_t> calls_;  // in this step: phase, operator
  std::deque<Call> captured_;                                     // that launches point to
  std::vector<std::vector<std::byte>> saved_;  // kSkip: what the call was to write over
  std::vector<std::byte> last_;                // kStale: what the call before left
  std::optional<Call> first_;                  // kSwap: the call of the one rank
  std::optional<FaultWitness> witness_;
  std::vector<Executed> executions_;
};

}  // namespace samebits
