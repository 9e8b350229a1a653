#pragma once

#include "harness/workload/workload.h"

namespace samebits::testing {

// A workload that executes nothing in a mode.
class GraphlessWorkload : public Workload {
 public:
  std::vector<const ProgramRecord*> programs() const override { return {}; }
};

}  // namespace samebits::testing
