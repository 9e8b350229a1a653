#include "harness/execution/witness.h"

namespace samebits {
namespace {

struct Counter {
  const char* name;
  int64_t Witness::*value;
  bool (*is_of)(const Mode& mode);
};

bool every(const Mode&) { return true; }
bool traced(const Mode& mode) { return mode.is_traced(); }
bool loaded(const Mode& mode) { return mode.is_traced() && !mode.graph.empty(); }
bool replayed(const Mode& mode) { return mode.is_replayed(); }
bool persistent(const Mode& mode) { return mode.execution == Execution::kPersistent; }
bool compiled(const Mode& mode) { return mode.execution == Execution::kAotInductor; }

// In the order of files.
constexpr Counter kCounters[] = {
    {"eager_calls", &Witness::eager_calls, every},
    {"traces", &Witness::traces, traced},
    {"runs", &Witness::runs, traced},
    {"nodes", &Witness::nodes, traced},
    {"guards_checked", &Witness::guards_checked, traced},
    {"guards_false", &Witness::guards_false, traced},
    {"loads", &Witness::loads, loaded},
    {"captures", &Witness::captures, replayed},
    {"replays", &Witness::replays, replayed},
    {"launches", &Witness::launches, replayed},
    {"eager_operators", &Witness::eager_operators, replayed},
    {"replay_dispatcher_calls", &Witness::replay_dispatcher_calls, replayed},
    {"replay_allocations", &Witness::replay_allocations, replayed},
    {"persistent_steps", &Witness::persistent_steps, persistent},
    {"stages", &Witness::stages, persistent},
    {"fused_steps", &Witness::fused_steps, persistent},
    {"compiled_runs", &Witness::compiled_runs, compiled},
};

}  // namespace

Witness& Witness::operator+=(const Witness& other) {
  for (const Counter& each : kCounters) this->*each.value += other.*each.value;
  return *this;
}

Counters counters_of(const Witness& witness, const std::string& name, const Mode& mode) {
  Counters counters;
  for (const Counter& each : kCounters) {
    if (each.is_of(mode)) counters.emplace_back(name + "." + each.name, witness.*each.value);
  }
  return counters;
}

Witness witness_from(const Counters& counters, const std::string& name) {
  Witness witness;
  for (const auto& [counter, count] : counters) {
    for (const Counter& each : kCounters) {
      if (counter == name + "." + each.name) witness.*each.value = count;
    }
  }
  return witness;
}

Counters growth_of(const Counters& before, const Counters& after) {
  Counters growth = after;
  for (size_t i = 0; i < growth.size(); ++i) growth[i].second -= before[i].second;
  return growth;
}

std::string witness_failure(const Witness& growth, const std::string& name, const Mode& mode) {
  const std::string should = "its " + name + " should ";
  const std::string calls = std::to_string(growth.eager_calls) + " eager calls";
  if (compiled(mode)) {
    if (growth.compiled_runs > 0 && growth.nodes == 0 && growth.eager_calls == 0) return "";
    return should + "run its package, but " + std::to_string(growth.compiled_runs) +
           " runs of it, " + std::to_string(growth.nodes) + " nodes and " + calls + " ran";
  }
  if (!mode.is_replayed()) {
    const bool is_eager = mode.execution == Execution::kEager;
    const bool ran =
        is_eager ? growth.eager_calls > 0 : growth.nodes > 0 && growth.eager_calls == 0;
    if (ran) return "";
    return should + "run " + to_string(mode.execution) + ", but " + std::to_string(growth.nodes) +
           " nodes and " + calls + " ran";
  }
  const std::string replays = std::to_string(growth.replays) + " replays";
  const bool is_lowered = growth.stages > 0 || growth.fused_steps > 0;
  if (mode.execution == Execution::kPersistent && !is_lowered && growth.replays > 0) {
    return should + "run stages, but none ran in " + replays;
  }
  // Without buckets of the user's there is one for every call.
  if (mode.execution == Execution::kFullGraphAlways && mode.buckets.empty() && growth.runs > 0) {
    return should + "replay graphs in every call, but " + std::to_string(growth.runs) +
           " of them ran node by node beside " + replays;
  }
  const int64_t beside = growth.replay_dispatcher_calls + growth.replay_allocations;
  if (growth.replays > 0 && growth.launches > 0 && growth.eager_calls == 0 && beside == 0) {
    return "";
  }
  return should + "replay graphs, but " + replays + " of " + std::to_string(growth.launches) +
         " launches, " + calls + " and, during replays, " + std::to_string(beside) +
         " dispatcher calls and allocations ran";
}

}  // namespace samebits
