#include "harness/run/rank.h"

#include "harness/base/error.h"
#include "harness/cli/commands.h"
#include "harness/cli/rank_environment.h"

namespace samebits {
namespace {

// What `samebits run` starts for each rank of an arm whose mesh has processes.
int run() {
  const std::optional<RankEnvironment> environment = rank_environment();
  if (!environment) {
    throw InputError("samebits rank", "no RANK and WORLD_SIZE in the environment",
                     "a process that samebits run has started");
  }
  return run_rank(*environment, nullptr);
}

}  // namespace

void add_rank_command(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("rank", "one rank of a run; samebits run starts it");
  command->group("");  // not in --help: it is of no use by itself
  command->callback([&action] { action = run; });
}

}  // namespace samebits
