#include "harness/capture/captured_program.h"

#include <algorithm>

namespace samebits {

// One traced graph with its executor.
struct CapturedProgram::Entry {
  std::shared_ptr<const ir::Graph> graph;
  Executor executor;
};

namespace {

std::string sizes_text(const ir::Graph& graph, const std::vector<int64_t>& symbols) {
  std::string text;
  for (size_t i = 0; i < symbols.size(); ++i) {
    text += (i ? ", " : "") + graph.symbols[i].name + "=" + std::to_string(symbols[i]);
  }
  return text;
}

}  // namespace

CapturedProgram::CapturedProgram(Program program, std::vector<DynamicDim> dynamic_dims,
                                 GuardPolicy policy)
    : program_(std::move(program)), dynamic_dims_(std::move(dynamic_dims)), policy_(policy) {}

CapturedProgram::Entry& CapturedProgram::add_trace(const std::vector<at::Tensor>& inputs) {
  ShapeEnv env;
  auto graph = std::make_shared<const ir::Graph>(trace(program_, inputs, dynamic_dims_, env));
  ++witness_.traces;
  entries_.push_back(std::make_shared<Entry>(Entry{graph, Executor(graph)}));
  return *entries_.back();
}

bool CapturedProgram::guards_hold(const ir::Graph& graph, const std::vector<int64_t>& symbols) {
  bool all = true;
  for (const Guard& guard : graph.guards) {
    ++witness_.guards_checked;
    if (guard.condition.evaluate(symbols)) continue;
    ++witness_.guards_false;
    all = false;
    if (policy_ == GuardPolicy::kKeep) break;
    record({guard.str(), sizes_text(graph, symbols), 1});
  }
  return all;
}

void CapturedProgram::record(GuardViolation violation) {
  const auto known = std::find_if(ledger_.begin(), ledger_.end(), [&](const GuardViolation& v) {
    return v.guard == violation.guard && v.sizes == violation.sizes;
  });
  if (known != ledger_.end()) {
    ++known->times;
  } else {
    ledger_.push_back(std::move(violation));
  }
}

std::vector<at::Tensor> CapturedProgram::operator()(const std::vector<at::Tensor>& inputs) {
  for (const auto& entry : entries_) {
    const auto symbols = entry->executor.try_bind(inputs);
    if (!symbols) continue;
    if (guards_hold(*entry->graph, *symbols) || policy_ == GuardPolicy::kDrop) {
      return run(*entry, inputs, *symbols);
    }
  }
  // Dropped guards: one graph is all there is, so what it cannot take at all is the caller's fault.
  if (policy_ == GuardPolicy::kDrop && !entries_.empty()) entries_[0]->executor.bind(inputs);
  Entry& entry = add_trace(inputs);
  return run(entry, inputs, entry.executor.bind(inputs));
}

std::vector<at::Tensor> CapturedProgram::run(Entry& entry, const std::vector<at::Tensor>& inputs,
                                             const std::vector<int64_t>& symbols) {
  const int64_t before = entry.executor.nodes_executed();
  std::vector<at::Tensor> outputs = entry.executor.run(inputs, symbols);
  ++witness_.runs;
  witness_.nodes_executed += entry.executor.nodes_executed() - before;
  return outputs;
}

std::vector<std::shared_ptr<const ir::Graph>> CapturedProgram::graphs() const {
  std::vector<std::shared_ptr<const ir::Graph>> graphs;
  for (const auto& entry : entries_) graphs.push_back(entry->graph);
  return graphs;
}

}  // namespace samebits
