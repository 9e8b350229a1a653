#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "harness/diagnose/case_failure.h"
#include "harness/diagnose/trial.h"
#include "harness/run/checkouts.h"

namespace samebits {

// Runs candidates at level `op`, in a folder of its own, and compares their arms; without goldens
// and without a report.
class CaseProbe : public Probe {
 public:
  // `work`: a folder that it makes, and writes over. `wanted`: how the whole failed in its run;
  // what is like it is the same failure.
  CaseProbe(std::filesystem::path work, CaseFailure wanted);

  // Whatever breaks in a candidate is its refusal. The first failure like the one that is wanted
  // names the operator, if any, that is wanted from then on.
  Sighting run(const Candidate& candidate) override;

  const CaseFailure& wanted() const { return wanted_; }

  // How the last case that was run failed.
  const std::optional<CaseFailure>& last_failure() const { return last_; }

  // How a case fails; nullopt where it does not. Throws as a run does.
  std::optional<CaseFailure> failure_of(const Case& c);

  // The candidate as a case whose models are there. Throws InputError.
  Case prepare(const Candidate& candidate);

 private:
  std::filesystem::path work_;
  CaseFailure wanted_;
  bool is_settled_ = false;  // as level `op` shows it
  std::optional<CaseFailure> last_;
  std::map<std::string, std::string> cut_;  // by folder of a cut model: what it was made of
  std::unique_ptr<Checkouts> checkouts_;    // of the arms' commits, which no candidate changes
};

}  // namespace samebits
