#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "harness/base/json.h"
#include "harness/base/names.h"
#include "harness/plant/fault.h"

namespace samebits {

// What became of a fault that was planted.
enum class FaultOutcome {
  kCaught,       // the verdict of the run failed
  kNoEffect,     // proved: it moved no value that the steps leave
  kEscaped,      // it moved one, and the verdict held
  kNotExecuted,  // the arm did not come to that call
};

inline const Names<FaultOutcome>& names_of(FaultOutcome) {
  static const Names<FaultOutcome> names = {{"caught", FaultOutcome::kCaught},
                                            {"no effect", FaultOutcome::kNoEffect},
                                            {"escaped", FaultOutcome::kEscaped},
                                            {"not executed", FaultOutcome::kNotExecuted}};
  return names;
}

struct PlantedFault {
  std::string arm;
  Fault fault;
  std::optional<FaultWitness> witness = {};  // as it was executed
  FaultOutcome outcome = FaultOutcome::kNotExecuted;
  std::string text = {};    // what the verdict said, or why there was no effect
  bool is_exact = false;    // caught: the cause that was named is the planted call itself
  std::string named = {};   // caught: where the arms first differ, and the operator
  std::string detail = {};  // caught and not exact: why not
  // The same arm ran again without a fault right after: why the verdict failed then; "" where it
  // held, and the arm gave what it had given.
  std::string false_alarm = {};
};

Json json_from_planted(const PlantedFault& planted);

// RUN/planted.json. Nothing vouches for it: it says what the verdicts of other runs were.
void write_planted(const std::filesystem::path& run_folder,
                   const std::vector<PlantedFault>& planted);

// Empty where the run has none. InputError where the file is broken.
std::vector<PlantedFault> read_planted(const std::filesystem::path& run_folder);
std::vector<PlantedFault> read_planted_file(const std::filesystem::path& file);

}  // namespace samebits
