#include <unistd.h>

#include <filesystem>

#include "harness/base/output.h"
#include "harness/cli/commands.h"
#include "harness/cli/validators.h"
#include "harness/diagnose/blame_run.h"

namespace samebits {
namespace {

struct BlameFlags {
  std::string run;
  std::string out;
  std::vector<std::string> arms;
  bool only_streams = false;
};

int blame(const BlameFlags& flags) {
  BlameOptions options;
  options.run = folder_of(flags.run);
  options.arms = flags.arms;
  if (!flags.only_streams) {
    options.out = flags.out.empty() ? options.run.string() + "-blame" : flags.out;
  }
  Progress progress(isatty(STDOUT_FILENO) == 1);
  const std::vector<Blame> blames = blame_run(options, progress);
  progress.clear();
  for (const Blame& each : blames) print_text("\n" + text_of(each));
  if (blames.empty()) say("\nnothing moved: no pair of arms differs, and no arm is off policy\n");
  return blames.empty() ? 1 : 0;
}

}  // namespace

void add_blame_command(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("blame", "name the phase that moved a run of an RL loop");
  const auto flags = std::make_shared<BlameFlags>();
  command->add_option("run", flags->run, "the run's folder")->required()->check(not_empty());
  CLI::Option* out =
      command->add_option("--out", flags->out, "the folder of rollouts (default: RUN-blame)")
          ->check(not_empty());
  command
      ->add_option("--arm", flags->arms,
                   "the sides of this arm, or, given twice, these two (default: all that moved)")
      ->expected(1);
  command->add_flag("--streams", flags->only_streams, "ask the streams alone, replay nothing")
      ->excludes(out);
  command->callback([flags, &action] { action = [flags] { return blame(*flags); }; });
}

}  // namespace samebits
