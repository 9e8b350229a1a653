#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "harness/base/names.h"
#include "harness/capture/guard_policy.h"

namespace samebits {

enum class Execution { kEager, kCaptured, kPiecewise, kFullGraph, kPersistent };

inline const Names<Execution>& names_of(Execution) {
  static const Names<Execution> names = {{"eager", Execution::kEager},
                                         {"captured", Execution::kCaptured},
                                         {"piecewise", Execution::kPiecewise},
                                         {"full_graph", Execution::kFullGraph},
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
  // step).
  std::vector<int64_t> buckets = {};

  // Whether a graph is captured of it.
  bool is_traced() const { return execution != Execution::kEager; }
  // Whether calls are replays, of one graph each or of its pieces.
  bool is_replayed_whole() const {
    return execution == Execution::kFullGraph || execution == Execution::kPersistent;
  }
  bool is_replayed() const { return execution == Execution::kPiecewise || is_replayed_whole(); }
};

// For a person: "eager", "captured, no guards".
std::string describe(const Mode& mode);

}  // namespace samebits
