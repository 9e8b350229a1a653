#pragma once

#include <functional>
#include <string>
#include <vector>

#include "harness/diagnose/candidate.h"

namespace samebits {

// One way to make a case smaller.
struct Reduction {
  std::string name;  // "steps"
  // Smaller candidates, the smallest first; none where there is nothing left.
  std::function<std::vector<Candidate>(const Candidate&)> smaller;
};

// Those of a failure, what saves the most time first. What is meant to differ and does not has
// sizes alone: of two arms whose settings are made alike it says nothing.
std::vector<Reduction> reductions_of(const CaseFailure& failure, const Candidate& whole);

// Values below `value`, from `least` on, that bisect the way there: multiples of `multiple`.
std::vector<int64_t> smaller_numbers(int64_t value, int64_t least, int64_t multiple = 1);

// Parts of a list, for delta debugging: its halves, then all but a half, all but a quarter, ...; at
// least `least` elements each.
std::vector<Json> smaller_lists(const Json& list, size_t least);

}  // namespace samebits
