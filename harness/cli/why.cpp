#include <unistd.h>

#include <memory>

#include "harness/base/output.h"
#include "harness/cli/commands.h"
#include "harness/cli/validators.h"
#include "harness/diagnose/why_golden.h"

namespace samebits {
namespace {

struct WhyFlags {
  std::string golden;
  std::string case_file;
  std::string out = "out/why";
  int64_t steps = 0;
};

int why(const WhyFlags& flags) {
  WhyOptions options{flags.golden, flags.case_file, flags.steps, flags.out};
  if (options.case_file.empty()) {
    options.case_file = "cases" / options.golden.parent_path().filename();
    options.case_file += ".json";
  }
  Progress progress(isatty(STDOUT_FILENO) == 1);
  const WhyGolden found = why_golden(options, progress);
  progress.clear();
  print_text("\n" + found.text());
  return found.moved.empty() ? 1 : 0;
}

}  // namespace

void add_why_command(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("why", "tell what moved a golden");
  const auto flags = std::make_shared<WhyFlags>();
  command->add_option("golden", flags->golden, "golden/CASE/ARM.json")
      ->required()
      ->check(not_empty());
  command->add_option("--case", flags->case_file, "the case (default: cases/CASE.json)")
      ->check(not_empty());
  command->add_option("--steps", flags->steps, "run at most so many")->check(whole_number(1));
  command->add_option("--out", flags->out, "a folder for what is run, written over (out/why)")
      ->check(not_empty());
  command->callback([flags, &action] { action = [flags] { return why(*flags); }; });
}

}  // namespace samebits
