#include "harness/run/supervise.h"

#include <memory>

#include "harness/cli/commands.h"

namespace samebits {

// What `samebits run` starts a program of somebody else's through.
void add_supervise_command(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("supervise", "runs a program; samebits run starts it");
  command->group("");  // not in --help: it is of no use by itself
  const auto program = std::make_shared<std::vector<std::string>>();
  command->add_option("program", *program, "the program and its arguments")->required();
  command->callback([program, &action] { action = [program] { return supervise(*program); }; });
}

}  // namespace samebits
