#include "harness/capture/symbol_oracle.h"

#include <c10/core/GradMode.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "harness/capture/guard_ledger.h"
#include "harness/capture/print.h"
#include "harness/dispatch/dispatch_mode.h"

namespace samebits {
namespace {

// Follows the program along the graph's nodes.
class SizeChecker final : public DispatchMode {
 public:
  SizeChecker(const ir::Graph& graph, std::vector<int64_t> symbols)
      : graph_(graph), symbols_(std::move(symbols)) {}

  void call(const c10::OperatorHandle& op, torch::jit::Stack* stack) override {
    TORCH_CHECK(next_ < graph_.nodes.size(), "eager calls ", ir::op_name(op),
                " after the last node of the graph");
    const ir::Node& node = graph_.nodes[next_++];
    TORCH_CHECK(node.op == op, "eager calls ", ir::op_name(op), " where the graph has ",
                to_string(graph_, node));
    op.callBoxed(stack);
    std::vector<at::Tensor> results;
    if (node.returns_list) {
      results = stack->back().toTensorVector();
    } else {
      const size_t count = op.schema().returns().size();
      for (size_t i = stack->size() - count; i < stack->size(); ++i) {
        results.push_back((*stack)[i].toTensor());
      }
    }
    for (size_t i = 0; i < results.size(); ++i) compare(node, node.outputs[i], results[i]);
  }

  std::vector<SizeMismatch> take() { return std::move(found_); }

 private:
  void compare(const ir::Node& node, ir::ValueId id, const at::Tensor& tensor) {
    std::vector<int64_t> evaluated;
    std::vector<std::string> traced;
    for (const sym::Expr& size : graph_.values[id].meta.sizes) {
      evaluated.push_back(size.evaluate(symbols_));
      traced.push_back(size.str());
    }
    if (tensor.sizes() == at::IntArrayRef(evaluated)) return;
    found_.push_back({sizes_text(graph_, symbols_), to_string(graph_, node),
                      fmt::format("[{}]", fmt::join(traced, ", ")), std::move(evaluated),
                      tensor.sizes().vec()});
  }

  const ir::Graph& graph_;
  std::vector<int64_t> symbols_;
  size_t next_ = 0;
  std::vector<SizeMismatch> found_;
};

}  // namespace

std::string SizeMismatch::str() const {
  return fmt::format("{}: {}: {} evaluates to [{}], eager gives [{}]", sizes, value, traced,
                     fmt::join(evaluated, ", "), fmt::join(eager, ", "));
}

std::vector<SizeMismatch> symbol_oracle(const ir::Graph& graph, const Program& program,
                                        const std::vector<at::Tensor>& inputs) {
  const c10::NoGradGuard no_grad;
  std::vector<int64_t> symbols;
  for (const ir::SymbolBinding& binding : graph.bindings) {
    symbols.push_back(inputs.at(binding.input).size(binding.dim));
  }
  SizeChecker checker(graph, std::move(symbols));
  const DispatchModeGuard on(checker);
  program(inputs);
  return checker.take();
}

}  // namespace samebits
