#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>

#include "harness/cli/commands.h"
#include "harness/compare/golden.h"
#include "harness/core/device_error.h"
#include "harness/core/environment.h"
#include "harness/core/error.h"
#include "harness/core/file.h"
#include "harness/core/stopwatch.h"
#include "harness/observe/step_observer.h"
#include "harness/report/writers.h"
#include "harness/workload/workload.h"

namespace samebits {
namespace {

struct RunFlags {
  std::string case_file;
  std::string out;
  std::string golden = "golden";
  std::vector<std::string> arms;
  std::vector<std::string> overrides;
  int64_t steps = 0;
  std::string level = "step";
  bool resume = false;
  std::string command;  // as typed
};

std::unique_ptr<Workload> build(const Arm& arm) {
  try {
    return make_workload(arm);
  } catch (const c10::Error& error) {
    throw RunError(fmt::format("arm {}, building: {}", arm.name, error_line(error)));
  }
}

StepRecord run_step(const Arm& arm, Workload& workload, int64_t step, StepObserver& observer) {
  try {
    return observer.run(workload, step);
  } catch (const RunError& error) {
    throw RunError(fmt::format("arm {}, {}; its stream is kept", arm.name, error.what()));
  }
}

// Runs one arm to its end.
void run_arm(const Arm& arm, Level level, ArmRecorder& recorder,
             const std::filesystem::path& folder) {
  const Stopwatch clock;
  fmt::print("{}: building\n", arm.name);
  std::fflush(stdout);
  const std::unique_ptr<Workload> workload = build(arm);
  StepObserver observer(recorder.sink(0), level, arm.device);
  for (int64_t step = 0; step < arm.steps; ++step) {
    recorder.record_step(run_step(arm, *workload, step, observer));
    fmt::print("{}: step {} of {}, {:.1f} s\n", arm.name, step + 1, arm.steps, clock.seconds());
    std::fflush(stdout);
    if (clock.seconds() > arm.timeout_s && step + 1 < arm.steps) {
      throw RunError(
          fmt::format("arm {}: {:.0f} s after step {}, timeout_s is {:.0f}; its stream is kept",
                      arm.name, clock.seconds(), step + 1, arm.timeout_s));
    }
  }
  recorder.record_guards(workload->guards());
  const std::vector<std::string> graphs = workload->saved_graphs();
  for (size_t i = 0; i < graphs.size(); ++i) {
    write_text_file((folder / fmt::format("graph-{}.json", i)).string(), graphs[i]);
  }
  recorder.finish();
}

// What the manifest says of an arm, from its folder alone, so that a resumed run says the same of
// the arms that it did not have to run.
Manifest::ArmEntry entry_of(const Arm& arm, const ArmRecording& recording) {
  Manifest::ArmEntry entry;
  entry.name = arm.name;
  entry.finished = recording.finished;
  entry.ranks = static_cast<int64_t>(recording.ranks.size());
  for (const StreamContents& stream : recording.ranks) {
    entry.observations += static_cast<int64_t>(stream.observations.size());
  }
  for (const StepRecord& step : recording.steps) {
    for (const PhaseCost& phase : step.phases) entry.seconds += phase.seconds;
    if (entry.witness_failure.empty()) {
      entry.witness_failure = witness_failure(arm, step.witness);
    }
  }
  return entry;
}

// Arms that parted at level `step` run again at level `op`, as far as the step at which they did,
// in a folder inside the run's: that names the operator. One sentence a pair.
std::vector<std::string> first_operators(const Case& c, const std::vector<Verdict>& verdicts,
                                         const std::filesystem::path& out) {
  std::vector<std::string> sentences;
  for (const Verdict& verdict : verdicts) {
    if (verdict.relation.holds == Holds::kMustDiverge) continue;
    for (const Verdict::Pair& pair : verdict.pairs) {
      const std::optional<Divergence>& parted = pair.comparison.first;
      if (pair.holds || !parted || is_operator_site(parted->site)) continue;
      Case two = select_arms(c, {pair.a, pair.b});
      for (Arm& arm : two.arms) arm.steps = parted->step + 1;
      const std::filesystem::path where = out / fmt::format("op-{}-{}", pair.a, pair.b);
      std::filesystem::remove_all(where);  // of a run that was cut off
      fmt::print("\n{} and {} part at step {}: looking for the operator\n", pair.a, pair.b,
                 parted->step);
      RunFolder folder = RunFolder::create(where, two);
      for (const Arm& arm : two.arms) {
        run_arm(arm, Level::kOp, *folder.start_arm(arm.name), where / arm.name);
      }
      const PairComparison closer =
          compare_recordings(read_arm(where / pair.a), read_arm(where / pair.b), verdict.relation);
      sentences.push_back(
          fmt::format("{} and {}, at level op: {}", pair.a, pair.b,
                      closer.first ? closer.first->text() : "no difference when run again"));
    }
  }
  return sentences;
}

int run_case(const RunFlags& flags) {
  std::vector<std::string> overrides = flags.overrides;
  if (flags.steps > 0) overrides.push_back(fmt::format("steps={}", flags.steps));
  const Case c = select_arms(load_case(flags.case_file, overrides), flags.arms);
  const Level level = flags.level == "op" ? Level::kOp : Level::kStep;
  for (const Arm& arm : c.arms) check_arm(arm);
  const std::filesystem::path out = flags.out.empty() ? "out/" + c.name : flags.out;
  RunFolder folder = flags.resume ? RunFolder::resume(out, c) : RunFolder::create(out, c);

  for (const Arm& arm : c.arms) {
    if (folder.is_finished(arm.name)) {
      fmt::print("{}: finished before\n", arm.name);
      continue;
    }
    run_arm(arm, level, *folder.start_arm(arm.name), out / arm.name);
  }

  Manifest manifest;
  manifest.command = flags.command;
  manifest.environment = environment_report();
  manifest.settings = Json::parse(canonical_json(c));
  std::vector<ArmRecording> recordings;
  for (const Arm& arm : c.arms) {
    recordings.push_back(read_arm(out / arm.name));
    manifest.arms.push_back(entry_of(arm, recordings.back()));
    manifest.golden.push_back(
        json_from_golden_check(check_golden(flags.golden, c, arm, recordings.back())));
  }
  const std::vector<Verdict> verdicts = judge_case(c, recordings);
  for (const Verdict& verdict : verdicts) manifest.verdicts.push_back(json_from_verdict(verdict));
  manifest.operators = first_operators(c, verdicts, out);
  const ReportRecord record = record_from(c, recordings, manifest);
  write_text_file((out / "report.md").string(), markdown_report(record));
  write_manifest(out, manifest);
  fmt::print("\n{}", console_report(record));
  return record.holds ? 0 : 1;
}

}  // namespace

void add_run_command(CLI::App& app, const std::string& typed, Action& action) {
  CLI::App* command = app.add_subcommand("run", "run a case's arms, compare them, write a report");
  const auto flags = std::make_shared<RunFlags>();
  flags->command = typed;
  command->add_option("case", flags->case_file, "a file of cases/")->required();
  command->add_option("--out", flags->out, "the run's folder (default: out/NAME)");
  command->add_option("--golden", flags->golden, "folder of blessed streams");
  command->add_option("--arm", flags->arms, "run this arm only; may be repeated");
  command->add_option("--set", flags->overrides, "key=value, or ARM.key=value; may be repeated");
  command->add_option("--steps", flags->steps, "instead of the case's")->check(CLI::PositiveNumber);
  command->add_option("--level", flags->level, "step, or op: every operator's output too")
      ->check(CLI::IsMember({"step", "op"}));
  command->add_flag("--resume", flags->resume, "take up a run that was cut off");
  command->callback([flags, &action] { action = [flags] { return run_case(*flags); }; });
}

}  // namespace samebits
