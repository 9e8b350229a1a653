#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "harness/base/names.h"
#include "harness/capture/guard_policy.h"

namespace samebits {

// The modes of vLLM's CUDA graphs: kPiecewise is its PIECEWISE, kFullGraph its FULL_DECODE_ONLY,
// kFullGraphAlways its FULL, kFullAndPiecewise its default: full graphs for decode steps, pieces
// for the rest.
enum class Execution {
  kEager,
  kCaptured,
  kPiecewise,
  kFullGraph,
  kFullGraphAlways,
  kFullAndPiecewise,
  kPersistent,
  kAotInductor
};

inline const Names<Execution>& names_of(Execution) {
  static const Names<Execution> names = {{"eager", Execution::kEager},
                                         {"captured", Execution::kCaptured},
                                         {"piecewise", Execution::kPiecewise},
                                         {"full_graph", Execution::kFullGraph},
                                         {"full_graph_always", Execution::kFullGraphAlways},
                                         {"full_and_piecewise", Execution::kFullAndPiecewise},
                                         {"persistent", Execution::kPersistent},
                                         {"aot_inductor", Execution::kAotInductor}};
  return names;
}

enum class GraphPass { kCommonSubexpressions, kDeadCode, kDropRoundings, kFuse };

inline const Names<GraphPass>& names_of(GraphPass) {
  static const Names<GraphPass> names = {
      {"common_subexpressions", GraphPass::kCommonSubexpressions},
      {"dead_code", GraphPass::kDeadCode},
      {"drop_roundings", GraphPass::kDropRoundings},
      {"fuse", GraphPass::kFuse}};
  return names;
}

// How a program is executed: by its own code, or by a graph that was captured of it, run node by
// node, replayed, or compiled.
struct Mode {
  Execution execution = Execution::kEager;
  // Of everything but an eager program:
  GuardPolicy guards = GuardPolicy::kKeep;
  std::vector<GraphPass> passes = {};  // over every graph, in this order
  std::filesystem::path graph = {};    // run from this file instead of tracing; or ""
  // Of a replayed one: token counts that graphs are captured for; none: Buckets::up_to(tokens of a
  // step). A call of more tokens runs node by node.
  std::vector<int64_t> buckets = {};
  // Which sizes are symbols of its graph, by name; absent: all that can be. Any other is a constant,
  // and a call of another size needs another trace.
  std::optional<std::vector<std::string>> dynamic = {};
  // Sizes, by symbol, that the first trace takes for its call's: they decide its branches.
  std::map<std::string, int64_t> traced_at = {};
  std::filesystem::path package = {};  // of kAotInductor: what tools/aot-package made of its graph

  // Whether a graph is captured of it.
  bool is_traced() const { return execution != Execution::kEager; }
  // Whether calls are replays: some of the whole graph, some of its pieces.
  bool replays_whole() const {
    return execution == Execution::kFullGraph || execution == Execution::kFullGraphAlways ||
           execution == Execution::kFullAndPiecewise || execution == Execution::kPersistent;
  }
  bool replays_pieces() const {
    return execution == Execution::kPiecewise || execution == Execution::kFullAndPiecewise;
  }
  bool is_replayed() const { return replays_whole() || replays_pieces(); }
};

// For a person: "eager", "captured, no guards, fuse".
std::string describe(const Mode& mode);

}  // namespace samebits
