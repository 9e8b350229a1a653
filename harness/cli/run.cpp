#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>

#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/base/output.h"
#include "harness/cli/commands.h"
#include "harness/cli/rank_environment.h"
#include "harness/cli/validators.h"
#include "harness/observe/planted_file.h"
#include "harness/observe/run_files.h"
#include "harness/report/tables.h"
#include "harness/report/writers.h"
#include "harness/run/rank.h"
#include "harness/run/run_case.h"

namespace samebits {
namespace {

struct RunFlags {
  std::string case_file;
  std::string out;
  std::string golden = "golden";
  bool is_golden_given = false;
  std::string junit;
  std::vector<std::string> arms;
  std::vector<std::string> overrides;
  int64_t steps = 0;
  int64_t repeat = 0;
  int64_t plant = 0;
  int64_t plant_seed = 1;
  std::string plant_kind;
  std::string plant_again;
  std::string level = "step";
  bool resume = false;
  bool force = false;
  bool is_verbose = false;
  std::string command;  // as typed
};

std::vector<std::string> plantable_kinds() {
  std::vector<std::string> words;
  for (const auto& [name, kind] : names_of(FaultKind())) {
    if (kind != FaultKind::kNone) words.push_back(name);
  }
  return words;
}

// A folder that was asked for must be there; without the flag, no folder means no goldens.
std::filesystem::path golden_folder(const RunFlags& flags) {
  if (flags.is_golden_given && !std::filesystem::is_directory(flags.golden)) {
    throw InputError("--golden", quoted(flags.golden), "a folder of blessed streams");
  }
  return flags.golden;
}

int run(const RunFlags& flags) {
  std::vector<std::string> overrides = flags.overrides;
  if (flags.steps > 0) overrides.push_back(fmt::format("steps={}", flags.steps));
  const Case c = select_arms(load_case(flags.case_file, overrides), flags.arms);
  RunOptions options;
  options.out = flags.out.empty() ? "out/" + c.name : flags.out;
  options.golden = golden_folder(flags);
  options.level = flags.level == "op" ? Level::kOp : Level::kStep;
  if (flags.resume) options.existing = Existing::kResume;
  if (flags.force) options.existing = Existing::kReplace;
  options.repeat = flags.repeat;
  options.plant = {flags.plant, static_cast<uint64_t>(flags.plant_seed)};
  for (const auto& [name, kind] : names_of(FaultKind())) {
    if (name == flags.plant_kind) options.plant.kind = kind;
  }
  if (!flags.plant_again.empty()) {
    for (const PlantedFault& each : read_planted_file(flags.plant_again)) {
      options.plant.again.emplace_back(each.arm, each.fault);
    }
  }
  options.command = flags.command;
  options.launched = rank_environment();
  if (options.launched && options.launched->size == 1) options.launched.reset();
  if (options.launched && options.launched->rank > 0) return run_rank(*options.launched, &c);
  if (!flags.junit.empty()) check_output(flags.junit, {flags.case_file});

  Progress progress(isatty(STDOUT_FILENO) == 1);
  const ReportRecord record = run_case(c, options, progress);
  if (!flags.junit.empty()) write_text_file(flags.junit, junit_report(record));
  if (flags.is_verbose) print_text("\n" + console_details(record));
  print_text("\n" + console_summary(record));
  if (flags.repeat > 0) print_text("\n" + fair_time_table(record).console());
  if (options.plant.is_asked() && record.planted.empty()) {
    say("\nNo fault was planted: the run fails without one.\n");
  }
  say("\nreport: {}\n", (options.out / run_files::kReport).string());
  say("  page: {}\n", (options.out / run_files::kPage).string());
  return record.holds ? 0 : 1;
}

}  // namespace

void add_run_command(CLI::App& app, const std::string& typed, Action& action) {
  CLI::App* command = app.add_subcommand("run", "run a case's arms, compare them, write a report");
  const auto flags = std::make_shared<RunFlags>();
  flags->command = typed;
  command->add_option("case", flags->case_file, "a file of cases/")->required()->check(not_empty());
  command->add_option("--out", flags->out, "the run's folder (default: out/NAME)")
      ->check(not_empty());
  CLI::Option* golden =
      command->add_option("--golden", flags->golden, "folder of blessed streams (default: golden)");
  command->add_option("--junit", flags->junit, "write the verdicts to this file too, as JUnit")
      ->check(not_empty());
  command->add_option("--arm", flags->arms, "run this arm only; may be repeated");
  command->add_option("--set", flags->overrides, "key=value, or ARM.key=value; may be repeated");
  command->add_option("--steps", flags->steps, "instead of the case's")->check(whole_number(1));
  command->add_option("--repeat", flags->repeat, "rounds in which all arms run again for the clock")
      ->check(whole_number(1));
  CLI::Option* plant =
      command
          ->add_option("--plant", flags->plant,
                       "plant this many faults, one at a time, and say which were caught")
          ->check(whole_number(1));
  command->add_option("--plant-seed", flags->plant_seed, "draws them (default: 1)")
      ->check(whole_number(0))
      ->needs(plant);
  command->add_option("--plant-kind", flags->plant_kind, "of this kind alone: flip, guard, ...")
      ->check(CLI::IsMember(plantable_kinds()))
      ->needs(plant);
  command
      ->add_option("--plant-again", flags->plant_again,
                   "plant the faults of this planted.json, as --plant does")
      ->check(not_empty())
      ->excludes(plant);
  command->add_option("--level", flags->level, "step, or op: every operator's output too")
      ->check(CLI::IsMember({"step", "op"}));
  CLI::Option* resume =
      command->add_flag("--resume", flags->resume, "take up a run that was cut off");
  command->add_flag("--force", flags->force, "replace the run that is in the folder")
      ->excludes(resume);
  command->add_flag("-v,--verbose", flags->is_verbose, "print every table, not only the verdict");
  command->callback([flags, golden, &action] {
    flags->is_golden_given = golden->count() > 0;
    action = [flags] { return run(*flags); };
  });
}

}  // namespace samebits
