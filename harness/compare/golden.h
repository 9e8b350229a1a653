#pragma once

#include <string>
#include <vector>

#include "harness/case/case.h"
#include "harness/compare/golden_file.h"
#include "harness/observe/arm_recording.h"

namespace samebits {

// What came of comparing an arm with its golden.
struct GoldenCheck {
  enum class Status {
    kEqual,
    kDifferent,
    kAbsent,         // never blessed
    kOtherSettings,  // the arm was run with settings other than the blessed ones
    kOtherPlatform,  // the golden is of another arithmetic
    kFewerSteps,     // equal, but the run went on where the golden ends
  };
  std::string arm;
  Status status = Status::kAbsent;
  std::string text;          // one sentence
  std::string file;          // of the golden, as it was found; empty without one
  bool is_required = false;  // the case demands a golden

  bool is_skipped() const { return status != Status::kEqual && status != Status::kDifferent; }
  bool fails() const { return status == Status::kDifferent || (is_skipped() && is_required); }
};

// Compares an arm with its golden, step by step as far as both go. What the golden has must be
// there; a kind of site that it does not know is not compared, and is counted in the text.
GoldenCheck check_golden(const std::vector<Golden>& goldens, const Case& c, const CaseArm& arm,
                         const ArmRecording& recording);

// The same with one golden, whatever its settings and its platform.
GoldenCheck compare_with_golden(const Golden& golden, const CaseArm& arm,
                                const ArmRecording& recording);

// The checks of all arms that are run here, for the manifest. No other program has a golden.
Json check_goldens(const std::vector<Golden>& goldens, const Case& c,
                   const std::vector<ArmRecording>& recordings);

Json json_from_golden_check(const GoldenCheck& check);
GoldenCheck golden_check_from_json(const JsonReader& json);

}  // namespace samebits
