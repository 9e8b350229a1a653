#include "harness/capture/guard_ledger.h"

#include <algorithm>

namespace samebits {

std::string sizes_text(const ir::Graph& graph, const std::vector<int64_t>& symbols) {
  std::string text;
  for (size_t i = 0; i < symbols.size(); ++i) {
    text += (i ? ", " : "") + graph.symbols[i].name + "=" + std::to_string(symbols[i]);
  }
  return text;
}

GuardLedger::GuardLedger(std::shared_ptr<const ir::Graph> graph) : graph_(std::move(graph)) {
  std::vector<int64_t> hints;
  for (const ShapeEnv::Symbol& symbol : graph_->symbols) hints.push_back(symbol.hint);
  for (const Guard& guard : graph_->guards) {
    records_.push_back({guard.str(), sizes_text(*graph_, hints), 0, {}});
  }
}

bool GuardLedger::check(const std::vector<int64_t>& symbols, GuardPolicy policy) {
  bool all = true;
  for (size_t i = 0; i < records_.size(); ++i) {
    GuardRecord& record = records_[i];
    ++record.checked;
    if (graph_->guards[i].condition.evaluate(symbols)) continue;
    all = false;
    const std::string sizes = sizes_text(*graph_, symbols);
    const auto known =
        std::find_if(record.false_at.begin(), record.false_at.end(),
                     [&](const GuardRecord::FalseAt& each) { return each.sizes == sizes; });
    if (known != record.false_at.end()) {
      ++known->times;
    } else {
      record.false_at.push_back({sizes, 1});
    }
    if (policy == GuardPolicy::kKeep) break;
  }
  return all;
}

}  // namespace samebits
