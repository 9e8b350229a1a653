#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "harness/capture/ir/graph.h"

namespace samebits {

// Runs a graph's nodes in order through the dispatcher, with symbolic arguments evaluated from the
// sizes of the inputs. The kernels are the ones that the program itself would call, so the bits are
// too. A value is let go after its last use, so memory is not above the program's own. Without
// autograd. Not thread-safe: one executor, one thread at a time.
class Executor {
 public:
  explicit Executor(std::shared_ptr<const ir::Graph> graph);
  ~Executor();
  Executor(Executor&&) noexcept;

  // Throws InputError where bind() does.
  std::vector<at::Tensor> run(const std::vector<at::Tensor>& inputs);
  // The same for symbols that are already bound.
  std::vector<at::Tensor> run(const std::vector<at::Tensor>& inputs,
                              const std::vector<int64_t>& symbols);

  // The values of the graph's symbols for these inputs, by id. Throws InputError where an input
  // differs from the traced one in count, rank, dtype, placements or a static size, where two
  // dimensions that are one symbol differ, or a size is below what its symbol was declared to be.
  std::vector<int64_t> bind(const std::vector<at::Tensor>& inputs) const;
  // The same, as a question.
  std::optional<std::vector<int64_t>> try_bind(const std::vector<at::Tensor>& inputs) const;

  const ir::Graph& graph() const;
  int64_t nodes_executed() const;  // over all runs

 private:
  struct Plan;
  std::unique_ptr<Plan> plan_;
};

}  // namespace samebits
