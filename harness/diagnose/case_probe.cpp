#include "harness/diagnose/case_probe.h"

#include <c10/util/Exception.h>

#include <new>
#include <utility>

#include "harness/base/error.h"
#include "harness/diagnose/model_cut.h"
#include "harness/dispatch/device_error.h"
#include "harness/observe/run_folder.h"
#include "harness/run/program_arm.h"
#include "harness/run/progress.h"
#include "harness/run/run_arm.h"
#include "harness/workload/workload.h"

namespace samebits {
namespace {

namespace fs = std::filesystem;

}  // namespace

CaseProbe::CaseProbe(fs::path work, CaseFailure wanted)
    : work_(std::move(work)), wanted_(std::move(wanted)) {}

Case CaseProbe::prepare(const Candidate& candidate) {
  Candidate cut = candidate;
  if (!candidate.model_sizes.empty()) {
    int64_t number = 0;
    for (const std::string& model : models_of(candidate)) {
      const fs::path folder = fs::absolute(work_ / ("model-" + std::to_string(number++)));
      const std::string made_of = model + candidate.model_sizes.dump();
      if (cut_[folder.string()] != made_of) {
        cut_.erase(folder.string());
        fs::remove_all(folder);
        write_cut_model(model, candidate.model_sizes, folder);
        cut_[folder.string()] = made_of;
      }
      for (auto& [name, arm] : cut.settings["arms"].items()) {
        if (arm.value("model", "") == model) arm["model"] = folder.string();
      }
      if (cut.settings.value("model", "") == model) cut.settings["model"] = folder.string();
    }
  }
  Case c = case_of(cut, work_ / "case.json");
  for (const CaseArm& arm : c.arms) arm.is_program() ? check_program(arm) : check_arm(arm);
  return c;
}

std::optional<CaseFailure> CaseProbe::failure_of(const Case& c) {
  Progress silent = Progress::silent();
  if (checkouts_ == nullptr) checkouts_ = std::make_unique<Checkouts>(c, work_, silent);
  std::vector<ArmRecording> recordings;
  RunFolder folder = RunFolder::replace(work_ / "run", c);
  for (const CaseArm& arm : checkouts_->placed(c).arms) {
    run_arm(arm, Level::kOp, *folder.start_arm(arm.name, arm.mesh.processes()), silent);
    recordings.push_back(read_whole_arm(folder.path() / arm.name));
  }
  const std::string why = why_no_evidence(c, recordings);
  if (!why.empty()) throw RunError(why);
  last_ = first_failure(c, recordings, wanted_.arms);
  return last_;
}

Sighting CaseProbe::run(const Candidate& candidate) {
  try {
    const std::optional<CaseFailure> seen = failure_of(prepare(candidate));
    if (!seen) return {Sighting::Kind::kNone, "it does not fail"};
    if (!seen->is_like(wanted_)) {
      return {Sighting::Kind::kOther, seen->text() + ": " + seen->where};
    }
    if (!is_settled_) wanted_ = *seen;
    is_settled_ = true;
    return {Sighting::Kind::kSame, seen->where};
  } catch (const InputError& error) {
    return {Sighting::Kind::kRefused, error.what()};
  } catch (const RunError& error) {
    return {Sighting::Kind::kRefused, error.what()};
  } catch (const c10::Error& error) {
    return {Sighting::Kind::kRefused, error_line(error)};
  } catch (const std::bad_alloc&) {
    return {Sighting::Kind::kRefused, "out of memory"};
  }
}

}  // namespace samebits
