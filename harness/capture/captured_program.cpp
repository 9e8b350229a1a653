#include "harness/capture/captured_program.h"

#include <algorithm>

namespace samebits {

// One traced graph with its executor.
struct CapturedProgram::Entry {
  std::shared_ptr<const ir::Graph> graph;
  Executor executor;
  GuardLedger ledger;
};

CapturedProgram::CapturedProgram(Program program, std::vector<DynamicDim> dynamic_dims,
                                 GuardPolicy policy, ModeLevel level)
    : program_(std::move(program)),
      dynamic_dims_(std::move(dynamic_dims)),
      policy_(policy),
      level_(level) {}

CapturedProgram::Entry& CapturedProgram::add_trace(const std::vector<at::Tensor>& inputs) {
  ShapeEnv env;
  ir::Graph traced = trace(program_, inputs, dynamic_dims_, env, level_);
  for (DynamicDim& dim : dynamic_dims_) dim.traced_at.reset();
  ++witness_.traces;
  return add_entry(transform_ ? transform_(std::move(traced)) : std::move(traced));
}

CapturedProgram::Entry& CapturedProgram::add_entry(ir::Graph graph) {
  const auto shared = std::make_shared<const ir::Graph>(std::move(graph));
  entries_.push_back(std::make_shared<Entry>(Entry{shared, Executor(shared), GuardLedger(shared)}));
  return *entries_.back();
}

void CapturedProgram::set_transform(std::function<ir::Graph(ir::Graph)> transform) {
  transform_ = std::move(transform);
}

void CapturedProgram::add_graph(ir::Graph graph) {
  add_entry(std::move(graph));
  ++witness_.loads;
}

CapturedProgram::Entry& CapturedProgram::entry_for(const std::vector<at::Tensor>& inputs,
                                                   std::vector<int64_t>& symbols) {
  Entry& entry = chosen_entry(inputs, symbols);
  entry.ledger.note_served(symbols);
  return entry;
}

CapturedProgram::Entry& CapturedProgram::chosen_entry(const std::vector<at::Tensor>& inputs,
                                                      std::vector<int64_t>& symbols) {
  for (const auto& entry : entries_) {
    auto bound = entry->executor.try_bind(inputs);
    if (!bound) continue;
    if (entry->ledger.check(*bound, policy_) || policy_ == GuardPolicy::kDrop) {
      symbols = std::move(*bound);
      return *entry;
    }
  }
  // Dropped guards: one graph is all there is, so what it cannot take at all is the caller's fault.
  if (policy_ == GuardPolicy::kDrop && !entries_.empty()) entries_[0]->executor.bind(inputs);
  const bool is_at_own_sizes = std::none_of(dynamic_dims_.begin(), dynamic_dims_.end(),
                                            [](const DynamicDim& dim) { return dim.traced_at; });
  Entry& entry = add_trace(inputs);
  symbols = entry.executor.bind(inputs);
  if (is_at_own_sizes || entry.ledger.check(symbols, policy_) || policy_ == GuardPolicy::kDrop) {
    return entry;
  }
  Entry& own = add_trace(inputs);
  symbols = own.executor.bind(inputs);
  return own;
}

CapturedProgram::Served CapturedProgram::serve(const std::vector<at::Tensor>& inputs) {
  Served served;
  served.graph = entry_for(inputs, served.symbols).graph;
  return served;
}

std::vector<at::Tensor> CapturedProgram::operator()(const std::vector<at::Tensor>& inputs) {
  std::vector<int64_t> symbols;
  Entry& entry = entry_for(inputs, symbols);
  const int64_t before = entry.executor.nodes_executed();
  std::vector<at::Tensor> outputs = entry.executor.run(inputs, symbols);
  ++witness_.runs;
  witness_.nodes_executed += entry.executor.nodes_executed() - before;
  return outputs;
}

CaptureWitness CapturedProgram::witness() const {
  CaptureWitness witness = witness_;
  for (const auto& entry : entries_) {
    for (const GuardRecord& record : entry->ledger.records()) {
      witness.guards_checked += record.checked;
      for (const auto& at : record.false_at) witness.guards_false += at.times;
    }
  }
  return witness;
}

std::vector<GuardRecord> CapturedProgram::ledger() const {
  std::vector<GuardRecord> all;
  for (const auto& entry : entries_) {
    const auto& records = entry->ledger.records();
    all.insert(all.end(), records.begin(), records.end());
  }
  return all;
}

std::vector<std::shared_ptr<const ir::Graph>> CapturedProgram::graphs() const {
  std::vector<std::shared_ptr<const ir::Graph>> graphs;
  for (const auto& entry : entries_) graphs.push_back(entry->graph);
  return graphs;
}

}  // namespace samebits
