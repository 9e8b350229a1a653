#include <fmt/format.h>

#include <algorithm>

#include "harness/base/error.h"
#include "harness/base/output.h"
#include "harness/case/case_relation.h"
#include "harness/cli/commands.h"
#include "harness/cli/validators.h"
#include "harness/compare/evidence.h"
#include "harness/compare/sources.h"
#include "harness/compare/verdict.h"
#include "harness/logs/readers.h"
#include "harness/logs/recording.h"
#include "harness/observe/recorder_file.h"

namespace samebits {
namespace {

struct CompareFlags {
  std::string a;
  std::string b;
  std::string relation = "bit_exact";
  std::string map;  // a file
  LogSettings log;
  bool compares_tensors = true;
  bool accepts_nonfinite = false;
};

void print_counts(const CompareFlags& flags, const PairComparison& comparison) {
  say("{} against {}, {}: {} observations compared, {} differ", flags.a, flags.b, flags.relation,
      comparison.compared, comparison.different);
  if (comparison.only_a + comparison.only_b > 0) {
    say(", {} only in the first, {} only in the second", comparison.only_a, comparison.only_b);
  }
  if (comparison.unknown > 0) {
    say(", {} tensors whose digests differ were not compared", comparison.unknown);
  }
  say("\n");
}

// What one of two recorders did not look for is no difference of the programs.
void print_levels(const CompareFlags& flags) {
  const std::string a = recorder_level(flags.a);
  const std::string b = recorder_level(flags.b);
  if (a.empty() || b.empty() || a == b) return;
  say("{} was recorded at level {}, {} at level {}: what one alone has may be due to that\n",
      flags.a, a, flags.b, b);
}

// Of two numbers of ranks, what the ranks saw that one side alone has: compared with nothing.
void print_ranks(const CompareFlags& flags, const ArmRecording& a, const ArmRecording& b,
                 bool is_of_all_ranks) {
  if (a.ranks.size() == b.ranks.size()) return;
  const bool is_more_a = a.ranks.size() > b.ranks.size();
  const std::vector<StreamContents>& more = (is_more_a ? a : b).ranks;
  size_t count = 0;
  for (size_t rank = std::min(a.ranks.size(), b.ranks.size()); rank < more.size(); ++rank) {
    count += more[rank].observations.size();
  }
  say("{} has {} ranks and {} has {}: {} observations of the last ranks of {} were not "
      "compared{}\n",
      flags.a, a.ranks.size(), flags.b, b.ranks.size(), count, is_more_a ? flags.a : flags.b,
      is_of_all_ranks ? "; but for operators they are those of rank 0" : "");
}

// A place where the two part, and the line of the program behind it where a recorder noted one.
void print_place(const CompareFlags& flags, const char* what, const Divergence& divergence) {
  say("{}: {}\n", what, divergence.text());
  try {
    const std::string sources = sources_of(flags.a, flags.b, divergence);
    if (!sources.empty()) say("  in the program: {}\n", sources);
  } catch (const InputError& error) {  // no evidence, and no reason to end without a verdict
    say("  in the program: not known, {}\n", error.what());
  }
}

// The first place, and the first value that both saw, where that is another one: two programs that
// run other operators part long before their values do.
void print_first(const CompareFlags& flags, const PairComparison& comparison) {
  if (!comparison.first) return;
  print_place(flags, "first", *comparison.first);
  if (const Divergence* value = comparison.later_value()) {
    print_place(flags, "first value that differs", *value);
  }
}

// What of a log was not compared.
void print_unread(const std::string& file, const ArmRecording& recording) {
  if (!recording.log) return;
  const LogSource& log = *recording.log;
  if (!log.unread.empty()) say("not read of {}: {}\n", file, list_text(log.unread));
  if (!log.drops.empty()) say("{}: {}\n", file, log.drops);
}

// What an arm says against itself, whatever it is compared with; false for something.
bool print_itself(const std::string& folder, const ArmRecording& recording) {
  for (const std::string& text : {copies_apart(recording), self_difference(recording)}) {
    if (text.empty()) continue;
    say("{} parts from itself: {}\n", folder, text);
    return false;
  }
  return true;
}

// Of two logs every site has a meaning of its own: losses that agree under norms that do not.
void print_sites(const PairComparison& comparison) {
  if (comparison.precision.empty() || comparison.different == 0) return;
  std::vector<std::string> sites;
  for (const auto& [site, count] : comparison.different_at) {
    sites.push_back(fmt::format("{} in {} step{}", site, count, count == 1 ? "" : "s"));
  }
  constexpr size_t kShown = 12;
  const size_t more = sites.size() - std::min(sites.size(), kShown);
  sites.resize(sites.size() - more);
  if (more > 0) sites.push_back(fmt::format("{} more sites", more));
  say("differ: {}\n", list_text(sites));
}

int run_compare(const CompareFlags& flags) {
  Relation relation = relation_from_text(flags.relation);
  if (!flags.map.empty()) relation.map = load_site_rules(flags.map);
  if (!flags.compares_tensors) relation.tensors = TensorRule::kNotCompared;
  const ArmRecording a = read_recording(flags.a, flags.log);
  const ArmRecording b = read_recording(flags.b, flags.log);
  const PairComparison comparison = compare_recordings(a, b, relation);
  const Nonfinite nonfinite = flags.accepts_nonfinite ? Nonfinite::kAccept : Nonfinite::kRefuse;
  print_counts(flags, comparison);
  print_levels(flags);
  print_first(flags, comparison);
  print_sites(comparison);
  if (comparison.compared == 0) say("nothing was compared, so nothing holds\n");
  if (comparison.nonfinite > 0 && !flags.accepts_nonfinite) {
    say("{} values are NaN or infinite in both, which is no agreement; first: {}\n",
        comparison.nonfinite, place_text(*comparison.first_nonfinite));
  }
  const bool is_one_a = print_itself(flags.a, a);
  const bool is_one_b = print_itself(flags.b, b);
  if (a.is_cut_off()) say("{} was cut off\n", flags.a);
  if (b.is_cut_off()) say("{} was cut off\n", flags.b);
  const bool holds = is_one_a && is_one_b && does_hold(relation, comparison, nonfinite);
  const bool is_of_all_ranks = has_all_ranks(a, b);
  print_ranks(flags, a, b, is_of_all_ranks);
  const bool is_whole = is_of_all_ranks && !a.is_cut_off() && !b.is_cut_off();
  print_unread(flags.a, a);
  print_unread(flags.b, b);
  const std::string& precision = comparison.precision;
  if (!precision.empty() && !holds) say("compared as the logs hold it: {}\n", precision);
  say("{}{}\n",
      !holds     ? "FAILS"
      : is_whole ? "holds"
                 : "holds as far as both go",
      holds && !precision.empty() ? ", as the logs hold it: " + precision : "");
  return holds && is_whole ? 0 : 1;
}

void add_log_flags(CLI::App* command, LogSettings& log) {
  std::vector<std::string> formats;
  for (const LogFormat& format : log_formats()) formats.push_back(format.name);
  command->add_option("--format", log.format, "of logs, where it is not found")
      ->check(CLI::IsMember(formats));
  command->add_option(
      "--pattern", log.pattern,
      "of logs that are text: what a line matches, with the groups (?<step>...) and "
      "one a site");
  command->add_option("--step", log.step, "of logs: the column or key that counts steps");
  command->add_option("--only", log.only, "of logs: the sites that are read, a regular expression");
}

}  // namespace

void add_compare_command(CLI::App& app, Action& action) {
  CLI::App* command =
      app.add_subcommand("compare", "compare two recorded arms, finished or cut off");
  const auto flags = std::make_shared<CompareFlags>();
  command->add_option("a", flags->a, "an arm's folder, such as out/demo/eager, or a log")
      ->required()
      ->check(not_empty());
  command->add_option("b", flags->b, "another one")->required()->check(not_empty());
  command->add_option("--relation", flags->relation,
                      "bit_exact, must_diverge, ulp:MAX or allclose:RTOL,ATOL");
  command
      ->add_option("--map", flags->map,
                   "the names that a has for the sites of b, and layouts of tensors: a JSON file")
      ->check(not_empty());
  command->add_flag("!--without-tensors", flags->compares_tensors,
                    "under a bound, tensors whose digests differ are counted and not compared");
  command->add_flag("--accept-nonfinite", flags->accepts_nonfinite,
                    "let NaN agree with the same NaN");
  add_log_flags(command, flags->log);
  command->callback([flags, &action] { action = [flags] { return run_compare(*flags); }; });
}

}  // namespace samebits
