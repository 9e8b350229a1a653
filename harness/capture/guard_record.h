#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace samebits {

// What is known of one guard of a captured graph: a fact about sizes that the graph relies on.
struct GuardRecord {
  struct FalseAt {
    std::string sizes;  // "tokens=61, rows=8": the graph's symbols
    int64_t times = 0;
    int64_t served = 0;  // times that the graph ran all the same
  };

  std::string guard;     // the condition, the source line and the operator that asked
  std::string asked_at;  // the sizes of the trace, at which it is true
  int64_t checked = 0;
  std::vector<FalseAt> false_at;  // in order of first occurrence
};

}  // namespace samebits
