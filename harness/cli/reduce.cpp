#include <unistd.h>

#include <filesystem>

#include "harness/base/output.h"
#include "harness/cli/commands.h"
#include "harness/cli/validators.h"
#include "harness/diagnose/reduce_run.h"

namespace samebits {
namespace {

struct ReduceFlags {
  std::string run;
  std::string out;
  std::vector<std::string> arms;
  int64_t time_limit_s = 0;
  bool resume = false;
  bool force = false;
};

int reduce(const ReduceFlags& flags) {
  ReduceOptions options;
  options.run = folder_of(flags.run);
  options.out = flags.out.empty() ? options.run.string() + "-reduced" : flags.out;
  options.arms = flags.arms;
  options.time_limit_s = static_cast<double>(flags.time_limit_s);
  if (flags.resume) options.existing = Existing::kResume;
  if (flags.force) options.existing = Existing::kReplace;
  Progress progress(isatty(STDOUT_FILENO) == 1);
  const ReducedRun reduced = reduce_run(options, progress);
  progress.clear();
  print_text("\n" + reduced.text());
  if (reduced.is_reproduced()) say("\nfolder: {}\n", options.out.string());
  return reduced.is_reduced() ? 0 : 1;
}

}  // namespace

void add_reduce_command(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("reduce", "find the least case that fails as a run did");
  const auto flags = std::make_shared<ReduceFlags>();
  command->add_option("run", flags->run, "the run's folder")->required()->check(not_empty());
  command->add_option("--out", flags->out, "the folder of what is found (default: RUN-reduced)")
      ->check(not_empty());
  command
      ->add_option("--arm", flags->arms,
                   "the failure of this arm, or, given twice, of these two (default: the first)")
      ->expected(1);
  command->add_option("--time-limit", flags->time_limit_s, "seconds after which it ends")
      ->check(whole_number(1));
  CLI::Option* resume =
      command->add_flag("--resume", flags->resume, "take up a reduction that was cut off");
  command->add_flag("--force", flags->force, "replace the reduction that is in the folder")
      ->excludes(resume);
  command->callback([flags, &action] { action = [flags] { return reduce(*flags); }; });
}

}  // namespace samebits
