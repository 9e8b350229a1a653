#include <fmt/format.h>

#include "harness/cli/commands.h"
#include "harness/compare/divergence.h"
#include "harness/core/error.h"

namespace samebits {
namespace {

struct CompareFlags {
  std::string a;
  std::string b;
  std::string relation = "bit_exact";
};

int run_compare(const CompareFlags& flags) {
  const PairComparison comparison =
      compare_recordings(read_arm(flags.a), read_arm(flags.b), relation_from_text(flags.relation));
  fmt::print("{} against {}, {}: {} observations compared, {} differ", flags.a, flags.b,
             flags.relation, comparison.compared, comparison.different);
  if (comparison.only_a + comparison.only_b > 0) {
    fmt::print(", {} only in the first, {} only in the second", comparison.only_a,
               comparison.only_b);
  }
  fmt::print("\n");
  if (comparison.first) fmt::print("first: {}\n", comparison.first->text());
  if (comparison.compared == 0) fmt::print("nothing was compared, so nothing holds\n");
  return comparison.agrees() ? 0 : 1;
}

}  // namespace

void add_compare_command(CLI::App& app, Action& action) {
  CLI::App* command =
      app.add_subcommand("compare", "compare two recorded arms, finished or cut off");
  const auto flags = std::make_shared<CompareFlags>();
  command->add_option("a", flags->a, "an arm's folder, such as out/demo/eager")->required();
  command->add_option("b", flags->b, "another one")->required();
  command->add_option("--relation", flags->relation, "bit_exact, ulp:MAX or allclose:RTOL,ATOL");
  command->callback([flags, &action] { action = [flags] { return run_compare(*flags); }; });
}

}  // namespace samebits
