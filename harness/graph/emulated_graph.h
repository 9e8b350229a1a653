#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "harness/capture/tracer.h"
#include "harness/core/launch.h"
#include "harness/graph/address_ledger.h"
#include "harness/graph/arena.h"
#include "harness/graph/eager_call.h"

namespace samebits {

// The proof that a graph was replayed, and nothing else ran: the last two, counted within pieces,
// stay 0.
struct ReplayWitness {
  int64_t replays = 0;
  int64_t launches = 0;
  int64_t eager_operators = 0;  // between pieces
  int64_t dispatcher_calls = 0;
  int64_t allocations = 0;
};

// A weak reference to what one replay left in the pool. It keeps the pool alive, not the values:
// they are gone once anything else of the pool has written the same block.
class GraphOutput {
 public:
  // A copy. Throws RunError, naming the writer, once the block was written again.
  at::Tensor read() const;
  // The memory itself, for the next piece to take. Checked now, not when it is used.
  at::Tensor view() const;

 private:
  friend class EmulatedGraph;
  std::string name_;
  std::shared_ptr<const Arena> pool_;
  size_t block_ = 0;
  int64_t epoch_ = 0;
  void* data_ = nullptr;
  std::vector<int64_t> sizes_;
  std::vector<int64_t> strides_;
  at::ScalarType dtype_ = at::kFloat;
};

// How a program is cut into pieces.
struct PiecewiseRules {
  // Operators that run eagerly between two pieces, without overload. Each returns one tensor of the
  // size and dtype of its first argument.
  std::vector<std::string> splitting;
  // Inputs that go to splitting operators only, as they are: not static, of any size.
  std::vector<size_t> dynamic_inputs;
};

// A CUDA graph on a CPU, under a GPU's rules: capture records the launches of a program without
// running them; replay runs them again on the same addresses, without the program, the dispatcher
// or an allocation.
//
// Capture refuses, with c10::Error in CUDA's words, what capture_rules.h refuses, and what host
// code writes into memory of the pool. Replay checks before it starts that everything the graph
// holds by address is still there (address_ledger.h), and that every static input was copied into;
// it poisons the graph's own memory first, so that nothing of an earlier replay can leak, and
// checks the redzones after. What it finds is a RunError in one line. Not thread-safe.
//
// With splitting operators it is one graph a piece: replay runs a piece, then the operator on what
// the piece left, copies its result to where the next piece expects it, and so on.
class EmulatedGraph {
 public:
  // Captures `program` on static inputs with the sizes and dtypes of `examples`, whose values are
  // not read. Outputs must be plain tensors in the pool. `name` is for messages.
  EmulatedGraph(std::string name, std::shared_ptr<Arena> pool, const Program& program,
                const std::vector<at::Tensor>& examples, const PiecewiseRules& rules = {});
  EmulatedGraph(const EmulatedGraph&) = delete;
  EmulatedGraph& operator=(const EmulatedGraph&) = delete;

  // Copies `value` to the beginning of a static input, in every dimension; what is left holds
  // `padding`, or poison where none is given. `padding` is for int32 and int64. Same dtype and
  // rank, no size larger; plain, on the CPU. An input that is not static is kept, not copied, until
  // the replay.
  void copy_input(size_t index, const at::Tensor& value, std::optional<int64_t> padding = {});

  void replay();

  size_t outputs() const { return outputs_.size(); }
  // Of the last replay. Throws RunError before the first.
  GraphOutput output(size_t index) const;

  const ReplayWitness& witness() const { return witness_; }
  size_t pieces() const { return pieces_.size(); }
  size_t launches() const;  // of all pieces

 private:
  struct Launch {
    const char* name;
    std::function<void()> body;
  };
  struct Piece {
    std::vector<Launch> launches;
    std::optional<EagerCall> then;
  };
  class Recorder;

  void make_inputs(const std::vector<at::Tensor>& examples);
  std::vector<at::Tensor> capture(const Program& program, const PiecewiseRules& rules);
  void split(const c10::OperatorHandle& op, torch::jit::Stack* stack);
  void adopt_outputs(const std::vector<at::Tensor>& outputs);
  void check_before() const;
  void run(const Piece& piece);
  void check_after() const;

  std::string name_;
  std::shared_ptr<Arena> pool_;
  std::vector<at::Tensor> inputs_;  // static buffers; placeholders for what is not static
  std::vector<at::Tensor> values_;  // of inputs that are not static, for the next replay
  std::vector<bool> is_static_;
  std::vector<size_t> input_blocks_;
  std::vector<bool> is_copied_;
  std::vector<size_t> blocks_;  // that the program allocated
  std::vector<Piece> pieces_;
  std::vector<GraphOutput> outputs_;
  AddressLedger ledger_;
  ReplayWitness witness_;
};

}  // namespace samebits
