#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "harness/capture/ir/graph.h"
#include "harness/core/case.h"

namespace samebits {

// What is known of one guard of a graph.
struct GuardRecord {
  struct FalseAt {
    std::string sizes;  // "tokens=61, rows=8": the graph's symbols
    int64_t times = 0;
  };

  std::string guard;     // Guard::str(): the condition, the source line and the operator that asked
  std::string asked_at;  // the sizes of the trace, at which it is true
  int64_t checked = 0;
  std::vector<FalseAt> false_at;  // in order of first occurrence
};

// Detector D8. A guard is a fact about sizes that a graph relies on; the ledger asks each again at
// every size the graph is to serve, and keeps what it found. It sees what was asked while tracing:
// a branch on a plain integer leaves no guard.
class GuardLedger {
 public:
  explicit GuardLedger(std::shared_ptr<const ir::Graph> graph);

  // Whether every guard is true at these sizes (by symbol id). Under kKeep the first false one ends
  // the question: the graph is not going to run. Under kDrop all are asked.
  bool check(const std::vector<int64_t>& symbols, GuardPolicy policy);

  // One for each guard of the graph, in the order of asking.
  const std::vector<GuardRecord>& records() const { return records_; }

 private:
  std::shared_ptr<const ir::Graph> graph_;
  std::vector<GuardRecord> records_;
};

// "s0=1, s1=40": the sizes of a graph's symbols, by id.
std::string sizes_text(const ir::Graph& graph, const std::vector<int64_t>& symbols);

}  // namespace samebits
