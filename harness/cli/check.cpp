// samebits check: the detectors over a model of one's own.

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <memory>

#include "harness/base/error.h"
#include "harness/base/output.h"
#include "harness/case/case.h"
#include "harness/cli/commands.h"
#include "harness/cli/validators.h"
#include "harness/detect/detectors.h"
#include "harness/detect/model_subject.h"
#include "harness/dtensor/dtensor.h"
#include "harness/workload/workload.h"

namespace samebits {
namespace {

constexpr size_t kMostShown = 5;  // findings of a detector

std::vector<Detector> chosen_detectors(const std::vector<std::string>& names) {
  if (names.empty()) return detectors();
  std::vector<Detector> chosen;
  for (const std::string& name : names) chosen.push_back(find_detector(name));
  return chosen;
}

void explain(const std::vector<Detector>& chosen) {
  for (const Detector& detector : chosen) {
    say("{} ({}) looks for {}\n  and cannot see {}\n", detector.name, detector.number,
        detector.looks_for, detector.cannot_see);
  }
}

// What of the arm the subject does not run, so that nothing was found there says nothing.
std::string not_looked_at(const CaseArm& arm) {
  std::vector<std::string> parts = {"decode steps"};
  if (is_trained(arm.workload.kind))
    parts.emplace_back("the training step but for copies of gradients");
  if (!arm.generator.passes.empty()) parts.emplace_back("the graph after its passes");
  if (!arm.generator.graph.empty())
    parts.push_back("its saved graph " + arm.generator.graph.filename().string());
  return fmt::format("{}", fmt::join(parts, ", "));
}

// Equal NaNs are equal to every detector, so they are looked for first.
bool has_nonfinite_outputs(const Subject& subject) {
  for (const at::Tensor& output : subject.program(subject.inputs(subject.hint))) {
    const at::Tensor whole = is_dtensor(output) ? full_tensor(output) : output;
    if (at::isfinite(whole).all().item<bool>()) continue;
    say("  its outputs have NaN or infinite elements, in which nothing can agree\n");
    return true;
  }
  return false;
}

// Whether one of them found something.
bool check_arm_with(const CaseArm& arm, const std::vector<Detector>& chosen) {
  const c10::NoGradGuard no_grad;
  const Subject subject = subject_of_arm(arm);
  say("\n{}: a prefill of one sequence at TP {}, traced at {} tokens, served at {}\n", arm.name,
      arm.mesh.tp, subject.hint, fmt::format("{}", fmt::join(subject.sizes, ", ")));
  say("  not looked at: {}\n", not_looked_at(arm));
  bool found_any = has_nonfinite_outputs(subject);
  for (const Detector& detector : chosen) {
    const std::vector<std::string> found = detector.find(subject);
    found_any = found_any || !found.empty();
    say("  {} finds {}\n", detector.name,
        found.empty() ? "nothing" : fmt::format("{}:", found.size()));
    for (size_t i = 0; i < std::min(found.size(), kMostShown); ++i) {
      say("    {}\n", found[i]);
    }
    if (found.size() > kMostShown) say("    and {} more\n", found.size() - kMostShown);
  }
  return found_any;
}

}  // namespace

void add_check_command(CLI::App& app, Action& action) {
  struct Flags {
    std::string case_file;
    std::vector<std::string> arms, overrides, detectors;
    bool is_verbose = false;
  };
  const auto flags = std::make_shared<Flags>();
  CLI::App* command =
      app.add_subcommand("check", "the detectors of the catalogue over a case's own model");
  command->add_option("case", flags->case_file)->required()->check(not_empty());
  command->add_option("--arm", flags->arms, "only this arm; may be repeated");
  command->add_option("--set", flags->overrides, "KEY=VALUE or ARM.KEY=VALUE, as samebits run");
  command->add_option("--detector", flags->detectors,
                      "only this one, by name or number; may be repeated");
  command->add_flag("-v,--verbose", flags->is_verbose, "say what each looks for and cannot see");
  command->callback([flags, &action] {
    action = [flags] {
      const std::vector<Detector> chosen = chosen_detectors(flags->detectors);
      const Case c = select_arms(load_case(flags->case_file, flags->overrides), flags->arms);
      for (const CaseArm& arm : c.arms) {
        if (arm.is_program()) {
          throw InputError(fmt::format("arm {}", arm.name), "another program",
                           "an arm that is run here (--arm selects arms)");
        }
        check_arm(arm);
      }
      if (flags->is_verbose) explain(chosen);
      bool found_any = false;
      for (const CaseArm& arm : c.arms) {
        found_any = check_arm_with(arm, chosen) || found_any;
      }
      return found_any ? 1 : 0;
    };
  });
}

}  // namespace samebits
