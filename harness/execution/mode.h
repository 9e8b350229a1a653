#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "harness/base/names.h"
#include "harness/capture/guard_policy.h"

namespace samebits {

// kFullAndPiecewise is vLLM's default: full graphs for decode steps, pieces for the rest.
enum class Execution { kEager, kCaptured, kPiecewise, kFullGraph, kFullAndPiecewise, kPersistent };

inline const Names<Execution>& names_of(Execution) {
  static const Names<Execution> names = {{"eager", Execution::kEager},
                                         {"captured", Execution::kCaptured},
                                         {"piecewise", Execution::kPiecewise},
                                         {"full_graph", Execution::kFullGraph},
                                         {"full_and_piecewise", Execution::kFullAndPiecewise},
                                         {"persistent", Execution::kPersistent}};
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
// node or replayed.
struct Mode {
  Execution execution = Execution::kEager;
  // Of everything but an eager program:
  GuardPolicy guards = GuardPolicy::kKeep;
  std::vector<GraphPass> passes = {};  // over every graph, in this order
  std::filesystem::path graph = {};    // run from this file instead of tracing; or ""
  // Of a replayed one: token counts that graphs are captured for; none: Buckets::up_to(tokens of a
  // step). A call of more tokens runs node by node.
  std::vector<int64_t> buckets = {};

  // Whether a graph is captured of it.
  bool is_traced() const { return execution != Execution::kEager; }
  // Whether calls are replays: some of the whole graph, some of its pieces.
  bool replays_whole() const {
    return execution == Execution::kFullGraph || execution == Execution::kFullAndPiecewise ||
           execution == Execution::kPersistent;
  }
  bool replays_pieces() const {
    return execution == Execution::kPiecewise || execution == Execution::kFullAndPiecewise;
  }
  bool is_replayed() const { return replays_whole() || replays_pieces(); }
};

// For a person: "eager", "captured, no guards, fuse".
std::string describe(const Mode& mode);

}  // namespace samebits
