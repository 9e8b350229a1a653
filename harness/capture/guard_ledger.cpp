#include "harness/capture/guard_ledger.h"

#include <algorithm>

#include "harness/capture/guard_watch.h"

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

bool GuardLedger::holds(size_t guard, const std::vector<int64_t>& symbols) const {
  return graph_->guards[guard].condition.evaluate(symbols);
}

GuardRecord::FalseAt& GuardLedger::false_at(GuardRecord& record, const std::string& sizes) {
  const auto known =
      std::find_if(record.false_at.begin(), record.false_at.end(),
                   [&](const GuardRecord::FalseAt& each) { return each.sizes == sizes; });
  return known != record.false_at.end() ? *known : record.false_at.emplace_back(sizes);
}

bool GuardLedger::check(const std::vector<int64_t>& symbols, GuardPolicy policy) {
  bool all = true;
  for (size_t i = 0; i < records_.size(); ++i) {
    GuardRecord& record = records_[i];
    ++record.checked;
    if (holds(i, symbols)) continue;
    const std::string sizes = sizes_text(*graph_, symbols);
    ++false_at(record, sizes).times;
    if (policy == GuardPolicy::kDrop) {
      all = false;
      continue;
    }
    GuardWatch* watch = GuardWatchGuard::watch();
    const std::string condition = graph_->guards[i].condition.str();
    if (watch == nullptr || !watch->passes(condition, record.guard, sizes)) return false;
  }
  return all;
}

void GuardLedger::note_served(const std::vector<int64_t>& symbols) {
  for (size_t i = 0; i < records_.size(); ++i) {
    if (!holds(i, symbols)) ++false_at(records_[i], sizes_text(*graph_, symbols)).served;
  }
}

}  // namespace samebits
