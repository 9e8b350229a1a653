#pragma once

#include <cstdint>
#include <string>

#include "harness/diagnose/candidate.h"

namespace samebits {

// What running a candidate once came to.
struct Sighting {
  enum class Kind {
    kSame,     // it fails as the whole does
    kOther,    // it fails, in another way
    kNone,     // it does not fail
    kRefused,  // it cannot be run
  };
  Kind kind = Kind::kNone;
  std::string text;  // where it fails, or why it cannot be run
};

// Runs candidates. What reduces knows no more of a run than this.
class Probe {
 public:
  virtual ~Probe() = default;
  virtual Sighting run(const Candidate& candidate) = 0;
};

// What came of a candidate, which may fail only sometimes.
struct Trial {
  int64_t runs = 0;
  int64_t failed = 0;  // of these, as the whole does
  Sighting last;       // of its last run; of the last that failed where one did

  bool always_fails() const { return runs > 0 && failed == runs; }
  std::string count() const;  // "always, in 5 runs", "in 2 of 5 runs"
};

}  // namespace samebits
