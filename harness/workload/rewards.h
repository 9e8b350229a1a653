#pragma once

#include <string_view>
#include <vector>

#include "harness/workload/settings.h"

namespace samebits {

// The reward of one completion (UTF-8) as torchtitan's RL loop computes it: 0 when empty; else 1,
// times 0.1 if more than a tenth of its characters are outside ASCII, times 1 - 0.9 * the share of
// upper-case characters, times 2 if the lower-cased completion contains `answer`, else 0.5.
// Characters are code points; upper case is Unicode's Uppercase property. Computed in double.
double reward_of(std::string_view completion, std::string_view answer);

// Advantages of one group, float32: w_i = exp(r_i / temperature);
//   kMeanExp    w_i / mean(w) - 1        kGroupMean  r_i - mean(r)
// Sums run in ascending order.
std::vector<float> advantages_of(const std::vector<float>& rewards,
                                 const AdvantageSettings& settings);

// (r - mean) / std, float32, one rounding an operation, sums in ascending order; std is without
// bias, sqrt(sum((r - mean)^2) / (n - 1)). Only r - mean where it is at most 1e-8, or n is 1.
// Source of the semantics: torchtitan's simple RL loop, which normalises before it weighs.
std::vector<float> normalized(const std::vector<float>& rewards);

// Advantages of a step, whose groups of `group` rewards follow each other. What `normalize` asks
// for comes first, over a group or over them all.
std::vector<float> advantages_of_step(const std::vector<float>& rewards, int64_t group,
                                      const AdvantageSettings& settings);

}  // namespace samebits
