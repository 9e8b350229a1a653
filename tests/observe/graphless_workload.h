#pragma once

#include "harness/workload/workload.h"

namespace samebits::testing {

// A workload that captures nothing.
class GraphlessWorkload : public Workload {
 public:
  std::vector<std::string> saved_graphs() const override { return {}; }
  std::vector<GuardRecord> guards() const override { return {}; }
};

}  // namespace samebits::testing
