#pragma once

#include <string>
#include <vector>

#include "harness/diagnose/ended_run.h"
#include "tests/run/support.h"

// Small runs that failed, opened.
namespace samebits::testing {

inline const std::vector<std::string> kOtherRounding = {"b.numerics.fused_rounding=true"};
inline const std::vector<std::string> kBrokenSync = {"steps=2", "workload.optimizer.lr=0.01",
                                                     "workload.sync=never"};

class Diagnosis : public Run {
 protected:
  EndedRun ended(const std::vector<std::string>& overrides) const {
    run(small_case(overrides), options());
    return open_ended_run(options().out);
  }
};

}  // namespace samebits::testing
