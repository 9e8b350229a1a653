#include "harness/compare/golden.h"

#include <algorithm>
#include <set>

#include "harness/base/json_difference.h"
#include "harness/compare/condense.h"
#include "harness/compare/divergence.h"

namespace samebits {
namespace {

using Status = GoldenCheck::Status;

const std::vector<std::pair<std::string, Status>>& status_names() {
  static const std::vector<std::pair<std::string, Status>> names = {
      {"equal", Status::kEqual},
      {"different", Status::kDifferent},
      {"absent", Status::kAbsent},
      {"other_settings", Status::kOtherSettings},
      {"other_platform", Status::kOtherPlatform},
      {"fewer_steps", Status::kFewerSteps}};
  return names;
}

using Kind = std::pair<std::string, std::string>;  // of sites: phase, and site without its indices

Kind kind_of(const Observation& observation) {
  return {observation.phase, site_kind(observation.site)};
}

// Drops the kinds of sites that the golden does not know, and returns how many observations.
int64_t drop_unknown_kinds(std::vector<Observation>& observations, const Golden& golden) {
  std::set<Kind> known;
  for (const Observation& each : golden.observations) known.insert(kind_of(each));
  return static_cast<int64_t>(std::erase_if(
      observations, [&](const Observation& each) { return !known.contains(kind_of(each)); }));
}

std::vector<Observation> first_steps(std::vector<Observation> observations, int64_t steps) {
  std::erase_if(observations, [&](const Observation& each) { return each.step >= steps; });
  return observations;
}

// What a person can read: "step 1, train, loss: 0.5 against 0.75, 3 ULP"; "" where all numbers agree.
std::string first_number_that_differs(std::vector<Observation> golden,
                                      std::vector<Observation> seen) {
  const auto has_no_number = [](const Observation& each) { return !each.bits; };
  std::erase_if(golden, has_no_number);
  std::erase_if(seen, has_no_number);
  const PairComparison comparison = compare_streams(golden, seen, Relation());
  return comparison.first ? comparison.first->text() : "";
}

}  // namespace

GoldenCheck compare_with_golden(const Golden& golden, const CaseArm& arm,
                                const ArmRecording& recording) {
  const int64_t steps = std::min(golden.steps, arm.steps);
  std::vector<Observation> seen = first_steps(condense(recording), steps);
  const int64_t unknown = drop_unknown_kinds(seen, golden);
  const PairComparison comparison =
      compare_streams(first_steps(golden.observations, steps), seen, Relation());
  GoldenCheck check;
  check.arm = arm.name;
  const bool is_equal =
      arm.nonfinite == Nonfinite::kAccept ? !comparison.differs() : comparison.agrees();
  check.status = is_equal ? Status::kEqual : Status::kDifferent;
  if (is_equal) {
    check.text = "equal to the golden over " + std::to_string(steps) +
                 (steps == 1 ? " step, " : " steps, ") + std::to_string(comparison.compared) +
                 " observations";
    if (steps < arm.steps) {
      check.status = Status::kFewerSteps;
      check.text += ", and not compared over the other " + std::to_string(arm.steps - steps) +
                    ", which it does not have";
    }
    if (unknown > 0) {
      check.text += "; " + std::to_string(unknown) + " that the golden does not hold not compared";
    }
  } else if (comparison.first) {
    check.text = "golden against run: " + comparison.first->text();
    const std::string number =
        first_number_that_differs(first_steps(golden.observations, steps), seen);
    if (!number.empty() && number != comparison.first->text()) check.text += "; " + number;
  } else if (comparison.first_nonfinite) {
    check.text = "golden and run are both NaN or infinite at step " +
                 std::to_string(comparison.first_nonfinite->step) + ", " +
                 comparison.first_nonfinite->site;
  } else {
    check.text = "golden and run have no observation in common";
  }
  return check;
}

GoldenCheck check_golden(const std::vector<Golden>& goldens, const Case& c, const CaseArm& arm,
                         const ArmRecording& recording) {
  GoldenCheck check;
  check.arm = arm.name;
  const auto skip = [&](Status status, const std::string& why) {
    check.status = status;
    check.text = "not compared with a golden: " + why;
  };
  const Golden* golden = golden_of(goldens, arm.name);
  if (golden == nullptr) {
    skip(Status::kAbsent, "there is none");
  } else if (golden->platform != arm.numerics.platform) {
    skip(Status::kOtherPlatform, "it is of platform " + golden->platform);
  } else if (const auto difference = first_difference(
                 Json::parse(deciding_settings(golden->settings_of(arm.name)->dump())),
                 Json::parse(deciding_settings(arm.canonical)))) {
    skip(Status::kOtherSettings, "its settings differ at " + difference->key);
  } else {
    check = compare_with_golden(*golden, arm, recording);
  }
  // Arms on LibTorch's kernels are never blessed (bless.h).
  check.is_required = c.requires_golden && is_contracted(arm);
  if (golden != nullptr) check.file = golden->file.string();
  return check;
}

Json check_goldens(const std::vector<Golden>& goldens, const Case& c,
                   const std::vector<ArmRecording>& recordings) {
  Json checks = Json::array();
  for (const ArmRecording& each : recordings) {
    const CaseArm& arm = c.arm(each.arm);
    if (arm.is_program()) continue;
    checks.push_back(json_from_golden_check(check_golden(goldens, c, arm, each)));
  }
  return checks;
}

Json json_from_golden_check(const GoldenCheck& check) {
  std::string status;
  for (const auto& [name, value] : status_names()) {
    if (value == check.status) status = name;
  }
  Json json = {{"arm", check.arm}, {"status", status}, {"text", check.text}};
  if (!check.file.empty()) json["file"] = check.file;
  if (check.is_required) json["required"] = true;
  return json;
}

GoldenCheck golden_check_from_json(const JsonReader& json) {
  json.object({"arm", "status", "text", "file", "required"});
  GoldenCheck check;
  check.arm = json.required("arm").string();
  check.status = json.required("status").one_of(status_names());
  check.text = json.required("text").string();
  if (auto key = json.optional("file")) check.file = key->string();
  if (auto key = json.optional("required")) check.is_required = key->boolean();
  return check;
}

}  // namespace samebits
