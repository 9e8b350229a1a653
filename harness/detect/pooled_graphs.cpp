#include "harness/detect/pooled_graphs.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <limits>
#include <optional>

#include "harness/detect/compare_outputs.h"
#include "harness/detect/eager_calls.h"
#include "harness/dispatch/dispatch_mode.h"
#include "harness/graph/make_pool.h"

namespace samebits {
namespace {

using Tensors = std::vector<at::Tensor>;
using Memory = PooledGraphs::Memory;

void note(const at::Tensor& value, const std::string& who, std::vector<Memory>& memory) {
  for (const at::Tensor& part : parts_of(value)) {
    if (part.numel() == 0) continue;
    const char* begin = static_cast<const char*>(part.const_data_ptr());
    memory.push_back({who, begin, begin + part.nbytes()});
  }
}

// Notes where results are, and keeps none of them: what a capture lets go it may take again.
class ResultWatch final : public DispatchMode {
 public:
  ResultWatch(std::string graph, std::vector<Memory>& memory)
      : graph_(std::move(graph)), memory_(memory) {}

  void call(const c10::OperatorHandle& op, torch::jit::Stack* stack) override {
    op.callBoxed(stack);
    const size_t returns = op.schema().returns().size();
    const auto results = c10::ArrayRef<c10::IValue>(*stack).slice(stack->size() - returns);
    for (const at::Tensor& result : tensors_in(results)) {
      note(result, fmt::format("what {} returns in {}", op.schema().name(), graph_), memory_);
    }
  }

 private:
  std::string graph_;
  std::vector<Memory>& memory_;
};

}  // namespace

PooledGraphs::PooledGraphs(const Subject& subject, const std::vector<int64_t>& sizes) {
  const auto name_at = [](int64_t size) { return fmt::format("the graph at {}", size); };
  for (const int64_t size : sizes) make_inputs(name_at(size), subject.inputs(size));
  for (size_t i = 0; i < sizes.size(); ++i) capture(name_at(sizes[i]), subject, graphs_[i]);
}

void PooledGraphs::make_inputs(const std::string& name, const Tensors& example) {
  if (!pool_) pool_ = make_pool(example[0].device());
  Captured& captured = graphs_.emplace_back();
  for (size_t i = 0; i < example.size(); ++i) {
    captured.inputs.push_back(pool_->make_buffer(fmt::format("static input {} of {}", i, name),
                                                 example[i].sizes(), example[i].scalar_type()));
  }
}

void PooledGraphs::capture(const std::string& name, const Subject& subject, Captured& captured) {
  const Program program = [&](const Tensors& inputs) {
    ResultWatch watch(name, captured.results);
    const DispatchModeGuard on(watch);
    Tensors outputs = subject.program(inputs);
    for (size_t i = 0; i < outputs.size(); ++i) {
      note(outputs[i], fmt::format("output {} of {}", i, name), captured.outputs);
    }
    if (subject.outputs == HeldOutputs::kOwned) captured.owned = outputs;
    return outputs;
  };
  Tensors memory;
  for (const StaticBuffer& input : captured.inputs) memory.push_back(input.memory);
  captured.graph = pool_->capture(name, program, memory);
}

void PooledGraphs::replay(size_t index, const Tensors& inputs) {
  Captured& captured = graphs_.at(index);
  for (size_t i = 0; i < inputs.size(); ++i) {
    pool_->copy(captured.inputs[i], inputs[i], /*padding=*/{});
  }
  captured.graph->replay();
}

Tensors PooledGraphs::read(size_t index) const {
  const ReplayGraph& graph = *graphs_.at(index).graph;
  Tensors outputs;
  for (size_t i = 0; i < graph.outputs(); ++i) outputs.push_back(graph.output(i).clone());
  return outputs;
}

void PooledGraphs::let_go(size_t index) {
  const ReplayGraph& graph = *graphs_.at(index).graph;
  for (size_t i = 0; i < graph.outputs(); ++i) {
    for (const at::Tensor& part : parts_of(graph.output(i))) {
      if (part.is_floating_point()) part.fill_(std::numeric_limits<double>::quiet_NaN());
    }
  }
}

Outcome run_pooled(const Subject& subject) {
  const c10::NoGradGuard no_grad;
  const std::string captured_at =
      fmt::format("captured at {} in one pool", fmt::join(subject.sizes, ", "));
  const auto wrong = [&](const std::string& what) {
    return Outcome{true, captured_at + ", replayed in that order: " + what};
  };
  std::optional<PooledGraphs> graphs;
  if (const auto error = error_of([&] { graphs.emplace(subject, subject.sizes); })) {
    return {true, captured_at + ": " + *error};
  }
  const bool is_read_later = subject.outputs != HeldOutputs::kUntilCopied;
  std::vector<Tensors> expected;
  std::vector<Tensors> got(subject.sizes.size());
  const auto read = [&](size_t i) { return error_of([&] { got[i] = graphs->read(i); }); };
  for (size_t i = 0; i < subject.sizes.size(); ++i) {
    const Tensors inputs = subject.inputs(subject.sizes[i]);
    expected.push_back(subject.program(inputs));
    if (const auto error = error_of([&] { graphs->replay(i, inputs); })) return wrong(*error);
    if (is_read_later) continue;
    if (const auto error = read(i)) return wrong(*error);
  }
  for (size_t i = 0; i < subject.sizes.size(); ++i) {
    std::optional<std::string> found = is_read_later ? read(i) : std::nullopt;
    if (!found) found = difference(got[i], expected[i]);
    if (found) return wrong(fmt::format("at {}, {}", subject.sizes[i], *found));
  }
  return {false, captured_at + ", replayed in that order and read at the end: the bits of eager"};
}

}  // namespace samebits
