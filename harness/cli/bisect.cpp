#include <unistd.h>

#include <filesystem>

#include "harness/base/output.h"
#include "harness/cli/commands.h"
#include "harness/cli/validators.h"
#include "harness/compare/relation.h"
#include "harness/diagnose/bisect_commits.h"

namespace samebits {
namespace {

struct BisectFlags {
  std::string case_file;
  std::string good;
  std::string bad;
  std::string arm;
  std::string out;
  std::string relation = "bit_exact";
  int64_t runs = 2;
  bool resume = false;
  bool force = false;
};

int bisect(const BisectFlags& flags) {
  const Case c = load_case(flags.case_file);
  BisectOptions options;
  options.out = flags.out.empty() ? std::filesystem::path("out") / (c.name + "-bisect")
                                  : folder_of(flags.out);
  options.arm = flags.arm;
  options.good = flags.good;
  options.bad = flags.bad;
  options.relation = relation_from_text(flags.relation);
  options.runs = flags.runs;
  if (flags.resume) options.existing = Existing::kResume;
  if (flags.force) options.existing = Existing::kReplace;
  Progress progress(isatty(STDOUT_FILENO) == 1);
  const Bisection found = bisect_commits(c, options, progress);
  progress.clear();
  print_text("\n" + found.text());
  if (found.is_found()) say("  next      samebits run {}/case.json\n", options.out.string());
  return found.is_found() ? 0 : 1;
}

}  // namespace

void add_bisect_command(CLI::App& app, Action& action) {
  CLI::App* command =
      app.add_subcommand("bisect", "find the commit that moved the bits of an arm of a commit");
  const auto flags = std::make_shared<BisectFlags>();
  command->add_option("case", flags->case_file, "a case file")->required()->check(not_empty());
  command->add_option("--good", flags->good, "a revision with the bits that are wanted")
      ->required()
      ->check(not_empty());
  command->add_option("--bad", flags->bad, "a later one with other bits")
      ->required()
      ->check(not_empty());
  command->add_option("--arm", flags->arm, "the arm (default: the only one of a commit)")
      ->check(not_empty());
  command->add_option("--relation", flags->relation,
                      "what holds where nothing moved: bit_exact (the default), ulp:MAX or "
                      "allclose:RTOL,ATOL");
  command->add_option("--runs", flags->runs, "of each commit (2)")->check(whole_number(1));
  command->add_option("--out", flags->out, "the folder of what is found (default: out/NAME-bisect)")
      ->check(not_empty());
  CLI::Option* resume =
      command->add_flag("--resume", flags->resume, "take up a bisection that was cut off");
  command->add_flag("--force", flags->force, "replace the bisection that is in the folder")
      ->excludes(resume);
  command->callback([flags, &action] { action = [flags] { return bisect(*flags); }; });
}

}  // namespace samebits
