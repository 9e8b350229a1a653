#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "harness/case/case.h"

namespace samebits {

// A reading of an arm's counters, by name.
using Counters = std::vector<std::pair<std::string, int64_t>>;

// The counters' growth from one reading to the next; both name the same counters.
Counters growth_of(const Counters& before, const Counters& after);

// Why what a step counted does not prove that the arm ran in its mode: a captured generator that
// executed no node or let model code compute outside its graph, one that replays graphs and
// replayed none or did anything but launches in a replay, a persistent one that ran no stage, an
// eager one that ran none; a trainer or an optimizer likewise. "" when it does prove it.
std::string witness_failure(const Arm& arm, const Counters& growth);

}  // namespace samebits
