#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "harness/execution/mode.h"

namespace samebits {

// A reading of counters by name, as files keep them: "generator.nodes".
using Counters = std::vector<std::pair<std::string, int64_t>>;

// What proves that a program ran in its mode: what it counted.
struct Witness {
  int64_t eager_calls = 0;  // times that its own code computed
  // Of every mode but eager:
  int64_t traces = 0;
  int64_t runs = 0;  // of graphs, node by node
  int64_t nodes = 0;
  int64_t guards_checked = 0;
  int64_t guards_false = 0;
  int64_t loads = 0;  // of graphs that were given instead of traced
  // Of replays, as whoever replays counts them; the last two should stay 0:
  int64_t captures = 0;
  int64_t replays = 0;
  int64_t launches = 0;
  int64_t eager_operators = 0;  // between pieces
  int64_t replay_dispatcher_calls = 0;
  int64_t replay_allocations = 0;
  // Of a persistent one, as the stages count themselves:
  int64_t persistent_steps = 0;
  int64_t stages = 0;
  int64_t fused_steps = 0;  // that were fused graphs instead
  // Of a compiled one:
  int64_t compiled_runs = 0;

  Witness& operator+=(const Witness& other);
};

// Those that the mode has, as NAME.COUNTER.
Counters counters_of(const Witness& witness, const std::string& name, const Mode& mode);
// Back from them; what is not there counts 0.
Witness witness_from(const Counters& counters, const std::string& name);
// The counters' growth from one reading to the next; both name the same counters.
Counters growth_of(const Counters& before, const Counters& after);

// Why what a step of a program counted does not prove that it ran in its mode: an eager one that
// never ran, a captured one that executed no node or let its own code compute, one that replays
// and replayed nothing or did anything but launches in a replay, a persistent one without a stage
// or a fused step, a compiled one whose package never ran. "" when it does prove it. `name`: of the
// program, for the text.
std::string witness_failure(const Witness& growth, const std::string& name, const Mode& mode);

}  // namespace samebits
