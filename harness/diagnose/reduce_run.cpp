#include "harness/diagnose/reduce_run.h"

#include <fmt/format.h>

#include <algorithm>

#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/diagnose/alone_of_program.h"
#include "harness/diagnose/candidate.h"
#include "harness/diagnose/case_probe.h"
#include "harness/diagnose/ended_run.h"
#include "harness/diagnose/reduced_text.h"
#include "harness/diagnose/search_folder.h"
#include "harness/diagnose/standing_case.h"
#include "harness/diagnose/upstream_script.h"

namespace samebits {
namespace {

namespace fs = std::filesystem;

constexpr char kWork[] = "work";
constexpr char kReadme[] = "README.md";
constexpr char kIssue[] = "issue.md";
constexpr char kCaseFile[] = "case.json";
constexpr int64_t kRunsOfTheLeast = 5;

// Runs the case that stands in a folder, as whoever gets the folder will.
class StandingProbe : public Probe {
 public:
  StandingProbe(fs::path file, CaseProbe& probe) : file_(std::move(file)), probe_(probe) {}
  Sighting run(const Candidate&) override {
    const std::optional<CaseFailure> seen = probe_.failure_of(load_case(file_));
    if (!seen) return {Sighting::Kind::kNone, "it does not fail"};
    const bool is_same = seen->is_like(probe_.wanted());
    return {is_same ? Sighting::Kind::kSame : Sighting::Kind::kOther, seen->where};
  }

 private:
  fs::path file_;
  CaseProbe& probe_;
};

// Of an earlier end: the case is written anew, everything else of the folder stays.
void remove_standing_case(const fs::path& folder) {
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (name != kJournal && name != kWork) fs::remove_all(entry.path());
  }
}

// By name: a run has not every size that its least case has.
void add_sizes(ReducedRun& run, const Candidate& before, const Candidate& after) {
  const auto of_before = sizes_of(before);
  for (const auto& [name, value] : sizes_of(after)) {
    const auto same_name = [&](const auto& size) { return size.first == name; };
    const auto found = std::find_if(of_before.begin(), of_before.end(), same_name);
    run.sizes.push_back({name, found == of_before.end() ? "" : found->second, value});
  }
}

// Of arms that differ at an operator.
void add_upstream_script(ReducedRun& run, const Case& least,
                         const std::optional<CaseFailure>& failure, const fs::path& folder) {
  if (!failure || !failure->place) return;
  const CaseArm& a = least.arm(failure->arms.front());
  const CaseArm& b = least.arm(failure->arms.back());
  if (!a.is_program() && !b.is_program()) {
    run.has_script = write_upstream_script(a, b, *failure->place, folder);
    return;
  }
  const AloneOfProgram alone = alone_of_programs(a, b, *failure->place, folder);
  run.has_script = alone.has_script;
  run.alone = alone.text;
}

}  // namespace

ReducedRun reduce_run(const ReduceOptions& options, Progress& progress) {
  const EndedRun ended = open_ended_run(options.run);
  for (const std::string& arm : options.arms) ended.settings.arm(arm);
  ReducedRun result;
  result.failure = first_failure(ended.settings, ended.recordings, options.arms);
  if (!result.failure) return result;
  result.where_in_run = result.failure->where;

  open_search_folder(options.out, options.existing, "reduction");
  const Candidate before = candidate_of(ended.settings, *result.failure);
  const Candidate whole = up_to_failure(before, *result.failure);
  CaseProbe probe(options.out / kWork, *result.failure);
  progress.show("the run again");
  result.of_whole = try_candidate(whole, probe, /*fewest=*/2);
  if (result.of_whole.failed == 0) return result;

  Json subject = {{"candidate", whole.settings}, {"failure", probe.wanted().text()}};
  subject["origin"] = ended.origin;
  Journal journal(options.out / kJournal, subject);
  ReducerOptions reducer;
  reducer.time_limit_s = options.time_limit_s;
  reducer.on_trial = [&](const Candidate& candidate, int64_t tried) {
    progress.show(fmt::format("{}: {}", tried + 1, candidate.change));
  };
  result.reduced = reduce(whole, result.of_whole, reductions_of(*result.failure, whole), probe,
                          journal, reducer);

  progress.show("the least case, from its folder");
  remove_standing_case(options.out);
  write_standing_case(result.reduced.least, options.out);
  const fs::path file = options.out / kCaseFile;
  StandingProbe standing(file, probe);
  result.of_least = try_candidate(result.reduced.least, standing, kRunsOfTheLeast);
  if (probe.last_failure()) result.failure = probe.last_failure();
  add_upstream_script(result, load_case(file), probe.last_failure(), options.out);
  add_sizes(result, before, result.reduced.least);
  write_text_file((options.out / kReadme).string(), reduced_readme(result));
  write_text_file((options.out / kIssue).string(),
                  reduced_issue(result, read_text_file(file.string())));
  fs::remove_all(options.out / kWork);
  progress.clear();
  return result;
}

}  // namespace samebits
