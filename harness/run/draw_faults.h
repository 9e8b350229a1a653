#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "harness/plant/planter.h"

namespace samebits {

// What an arm executed in a run without a fault.
struct ArmExecutions {
  std::string arm;
  std::vector<Executed> executions;
  bool has_processes = false;  // each rank is one: they share no memory to swap
};

// `count` faults that these arms can plant, by turns, drawn from `seed`: half of them flips, of
// these half of one ULP and half of any bit; the others of the kinds that the arm's executions
// know. Step, phase and operator are drawn first, each as likely as any other, then one of the
// executions, so that what runs seldom is drawn as often as what runs at every token. `only`: of
// this kind alone, of the arms that can plant it.
std::vector<std::pair<std::string, Fault>> draw_faults(const std::vector<ArmExecutions>& arms,
                                                       int64_t count, uint64_t seed,
                                                       std::optional<FaultKind> only = {});

}  // namespace samebits
