#include "harness/workload/witness.h"

#include <algorithm>

namespace samebits {

Counters growth_of(const Counters& before, const Counters& after) {
  Counters growth = after;
  for (size_t i = 0; i < growth.size(); ++i) growth[i].second -= before[i].second;
  return growth;
}

std::string witness_failure(const Arm& arm, const Counters& growth) {
  const auto counted = [&](const std::string& name) {
    const auto found = std::find_if(growth.begin(), growth.end(),
                                    [&](const auto& counter) { return counter.first == name; });
    return found == growth.end() ? 0 : found->second;
  };
  if (is_trained(arm.workload.kind)) {
    for (const std::string program : {"trainer", "optimizer"}) {
      const int64_t calls = counted(program + ".eager_calls");
      const int64_t nodes = counted(program + ".nodes");
      const bool captured = arm.trainer == Execution::kCaptured;
      if (captured ? calls != 0 || nodes == 0 : calls == 0) {
        return "its " + program + " should run " + to_string(arm.trainer) + ", but " +
               std::to_string(nodes) + " nodes and " + std::to_string(calls) + " eager calls ran";
      }
    }
  }
  if (!is_generated(arm.workload.kind)) return "";
  const int64_t eager = counted("generator.eager_calls");
  if (arm.generator == Execution::kEager) {
    return eager > 0 ? "" : "its eager generator never ran";
  }
  if (arm.generator != Execution::kCaptured) {
    const int64_t replays = counted("generator.replays");
    const int64_t beside =
        counted("generator.replay_dispatcher_calls") + counted("generator.replay_allocations");
    if (arm.generator == Execution::kPersistent && counted("generator.stages") == 0) {
      return "its generator should run stages, but none ran in " + std::to_string(replays) +
             " replays";
    }
    if (replays > 0 && eager == 0 && beside == 0) return "";
    return "its generator should replay graphs, but " + std::to_string(replays) + " replays, " +
           std::to_string(eager) + " eager calls and, during replays, " + std::to_string(beside) +
           " dispatcher calls and allocations ran";
  }
  const int64_t nodes = counted("generator.nodes");
  if (nodes > 0 && eager == 0) return "";
  return "its generator should run captured, but " + std::to_string(nodes) + " nodes and " +
         std::to_string(eager) + " eager calls ran";
}

}  // namespace samebits
