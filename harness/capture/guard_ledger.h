#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "harness/capture/guard_policy.h"
#include "harness/capture/guard_record.h"
#include "harness/capture/ir/graph.h"

namespace samebits {

// A guard is a fact about sizes that a graph relies on; the ledger asks each again at
// every size the graph is to serve, and keeps what it found. It sees what was asked while tracing:
// a branch on a plain integer leaves no guard.
class GuardLedger {
 public:
  explicit GuardLedger(std::shared_ptr<const ir::Graph> graph);

  // Whether every guard is true at these sizes (by symbol id). Under kKeep the first false one ends
  // the question: the graph is not going to run. Under kDrop all are asked.
  bool check(const std::vector<int64_t>& symbols, GuardPolicy policy);

  // To be told of the sizes that the graph is to run at, whatever came of check(): asks every guard
  // by itself which of them that ignores.
  void note_served(const std::vector<int64_t>& symbols);

  // One for each guard of the graph, in the order of asking.
  const std::vector<GuardRecord>& records() const { return records_; }

 private:
  bool holds(size_t guard, const std::vector<int64_t>& symbols) const;
  static GuardRecord::FalseAt& false_at(GuardRecord& record, const std::string& sizes);

  std::shared_ptr<const ir::Graph> graph_;
  std::vector<GuardRecord> records_;
};

// "s0=1, s1=40": the sizes of a graph's symbols, by id.
std::string sizes_text(const ir::Graph& graph, const std::vector<int64_t>& symbols);

}  // namespace samebits
