#include "harness/diagnose/bisect_commits.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <utility>

#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/case/case_relation.h"
#include "harness/case/case_write.h"
#include "harness/compare/evidence.h"
#include "harness/compare/verdict.h"
#include "harness/diagnose/case_failure.h"
#include "harness/diagnose/commit_search.h"
#include "harness/diagnose/journal.h"
#include "harness/diagnose/search_folder.h"
#include "harness/observe/run_folder.h"
#include "harness/run/checkouts.h"
#include "harness/run/origin.h"
#include "harness/run/run_arm.h"

namespace samebits {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kRunsOfAFlakyOne = 5;

const CaseArm& arm_of(const Case& c, const std::string& name) {
  if (!name.empty()) {
    const CaseArm& arm = c.arm(name);
    if (arm.program.is_of_commit()) return arm;
    throw InputError("arm " + name, "no commit", "an arm of a commit");
  }
  std::vector<std::string> names;
  for (const CaseArm& arm : c.arms) {
    if (arm.program.is_of_commit()) names.push_back(arm.name);
  }
  if (names.size() == 1) return c.arm(names.front());
  throw InputError(c.file.string() + ": arms",
                   names.empty() ? "none of a commit" : list_text(names),
                   "one of a commit, or --arm");
}

// What each run of an arm observed, as recordings of one run.
std::vector<ArmRecording> runs_of(const ArmRecording& recording) {
  std::vector<ArmRecording> runs(1, recording);
  for (const std::vector<StreamContents>& ranks : recording.repeats) {
    runs.push_back(recording);
    runs.back().ranks = ranks;
  }
  return runs;
}

class Search {
 public:
  Search(const Case& c, const CaseArm& arm, const BisectOptions& options, Progress& progress)
      : case_(select_arms(c, {arm.name})),
        arm_(arm),
        options_(options),
        progress_(progress),
        git_(arm.program.repository),
        good_(git_.commit_of(options.good, "--good")),
        bad_(git_.commit_of(options.bad, "--bad")),
        runs_(options.runs) {
    if (options.relation.holds == Holds::kMustDiverge) {
      throw InputError("--relation", "must_diverge", "bit_exact, ulp:MAX or allclose:RTOL,ATOL");
    }
    if (good_ == bad_) throw InputError("--bad", bad_ + ", the good commit", "another commit");
    if (!git_.ask({"merge-base", "--is-ancestor", good_, bad_}).is_good) {
      throw InputError("--good", git_.title_of(good_) + ", which is no ancestor of the bad commit",
                       "a commit that the bad one goes back to");
    }
    open_search_folder(options.out, options.existing, "bisection");
    const Json subject = {{"arm", Json::parse(arm.canonical)},
                          {"good", good_},
                          {"bad", bad_},
                          {"relation", relation_json()},
                          {"origin", program_origin()}};
    journal_ = std::make_unique<Journal>(options.out / kJournal, subject);
  }

  Bisection run() {
    Bisection found;
    found.arm = arm_.name;
    found.good = {git_.title_of(good_), trial_of_good(runs_)};
    if (found.good.trial.failed > 0) return found;
    found.bad = {git_.title_of(bad_), trial_of(bad_)};
    if (!found.bad.trial.always_fails()) {
      if (found.bad.trial.failed == 0) return found;
      const Trial& trial = found.bad.trial;
      runs_ = std::max(runs_, runs_to_miss_nothing(static_cast<double>(trial.failed) /
                                                   static_cast<double>(trial.runs)));
      found.good.trial = trial_of_good(runs_);
      if (found.good.trial.failed > 0) return found;
    }
    search(found);
    return found;
  }

 private:
  Json relation_json() const {
    Relation relation = options_.relation;
    relation.arms = {arm_.name};
    return json_from_relation(relation);
  }

  fs::path folder_of(const std::string& commit) const {
    constexpr size_t kShort = 12;
    return options_.out / commit.substr(0, kShort);
  }

  // Throws where it cannot be run, or what it leaves is no evidence.
  ArmRecording run(const std::string& commit, int64_t runs) {
    Case c = case_;
    CaseArm& arm = c.arms.front();
    arm.program.commit = commit;
    arm.program.repeat = runs;
    arm.canonical = json_from_arm(arm).dump();
    Progress silent = Progress::silent();
    const fs::path folder = folder_of(commit);
    RunFolder run_folder = RunFolder::replace(folder, c);
    const Checkouts checkouts(c, folder, silent);
    run_arm(checkouts.placed(c).arms.front(), Level::kStep, *run_folder.start_arm(arm.name, 1),
            silent);
    ArmRecording recording = read_whole_arm(folder / arm.name);
    const std::string why = why_no_evidence(c, {recording});
    if (!why.empty()) throw RunError(why);
    return recording;
  }

  // How what a run observed differs from the good commit; "" where the relation holds.
  std::string difference(const ArmRecording& seen) const {
    if (!has_all_ranks(reference_, seen)) {
      return fmt::format("{} ranks against {}", reference_.ranks.size(), seen.ranks.size());
    }
    const PairComparison comparison = compare_recordings(reference_, seen, options_.relation);
    if (does_hold(options_.relation, comparison, Nonfinite::kAccept)) return "";
    const auto& first = comparison.first_value ? comparison.first_value : comparison.first;
    return first ? first->text() : "nothing in common";
  }

  Trial compared(const ArmRecording& recording) const {
    Trial trial;
    for (const ArmRecording& each : runs_of(recording)) {
      const std::string text = difference(each);
      ++trial.runs;
      if (text.empty()) continue;
      ++trial.failed;
      trial.last = {Sighting::Kind::kSame, text};
    }
    return trial;
  }

  Candidate candidate(const std::string& commit, int64_t runs) const {
    return {.settings = {{"commit", commit}, {"runs", runs}}, .change = git_.title_of(commit)};
  }

  // The first of its runs is what all others are compared with.
  Trial trial_of_good(int64_t runs) {
    const Candidate key = candidate(good_, runs);
    const auto before = journal_->find(key);
    progress_.show(key.change + ": the good commit");
    const ArmRecording recording =
        before ? read_whole_arm(folder_of(good_) / arm_.name) : run(good_, runs);
    if (reference_.ranks.empty()) reference_ = runs_of(recording).front();
    if (before) return *before;
    return noted(key, compared(recording));
  }

  // Of a commit that differs in some runs and not in others, in more of them.
  Trial trial_of(const std::string& commit) {
    const Trial trial = trial_in(commit, runs_);
    const bool is_mixed = trial.failed > 0 && !trial.always_fails();
    return is_mixed && runs_ < kRunsOfAFlakyOne ? trial_in(commit, kRunsOfAFlakyOne) : trial;
  }

  Trial trial_in(const std::string& commit, int64_t runs) {
    const Candidate key = candidate(commit, runs);
    if (const auto before = journal_->find(key)) return *before;
    progress_.show(key.change);
    Trial trial;
    try {
      trial = compared(run(commit, runs));
    } catch (const InputError& error) {
      if (commit == bad_) throw;
      trial = {1, 0, {Sighting::Kind::kRefused, error.what()}};
    } catch (const RunError& error) {
      if (commit == bad_) throw;
      trial = {1, 0, {Sighting::Kind::kRefused, error.what()}};
    }
    return noted(key, trial);
  }

  Trial noted(const Candidate& key, const Trial& trial) {
    journal_->add(key, trial);
    return trial;
  }

  void search(Bisection& found) {
    CommitSearch commits(git_, good_, bad_);
    found.between = static_cast<int64_t>(commits.left()) - 1;
    found.found = found.bad;
    while (const auto commit = commits.next()) {
      TriedCommit tried{git_.title_of(*commit), trial_of(*commit)};
      progress_.show(fmt::format("{}: {}", tried.title, tried.text()));
      found.tried.push_back(tried);
      if (tried.is_refused()) {
        commits.note(*commit, CommitSearch::Answer::kUnknown);
      } else if (tried.trial.failed == 0) {
        commits.note(*commit, CommitSearch::Answer::kGood);
      } else {
        commits.note(*commit, CommitSearch::Answer::kBad);
        found.found = tried;
      }
    }
    found.suspects = commits.suspects();
    if (found.is_found()) write_case(found.suspects.front());
    for (std::string& each : found.suspects) each = git_.title_of(each);
  }

  // The commit that was found against its (first) parent.
  void write_case(const std::string& commit) const {
    CaseArm arm = arm_;
    arm.program.repository = fs::absolute(arm.program.repository).lexically_normal();
    const auto at = [&](const std::string& revision) {
      arm.program.commit = git_.commit_of(revision, "its parent");
      return json_from_arm(arm);
    };
    Relation relation = options_.relation;
    relation.arms = {"before", "after"};
    if (relation.holds != Holds::kBitExact) relation.reason = "the bound of the bisection";
    Json json = {{"name", case_.name}};
    json["arms"]["before"] = at(commit + "^");
    json["arms"]["after"] = at(commit);
    json["relations"] = Json::array({json_from_relation(relation)});
    write_text_file((options_.out / "case.json").string(), json.dump(2) + "\n");
  }

  Case case_;
  const CaseArm& arm_;
  const BisectOptions& options_;
  Progress& progress_;
  Git git_;
  std::string good_;
  std::string bad_;
  int64_t runs_;
  std::unique_ptr<Journal> journal_;
  ArmRecording reference_;
};

std::string indented(const std::string& name, const std::string& text) {
  return fmt::format("  {:<9} {}\n", name, text);
}

}  // namespace

std::string TriedCommit::text() const {
  if (is_refused()) return "cannot be run: " + trial.last.text;
  if (trial.failed == 0) return fmt::format("equal in {} of {} runs", trial.runs, trial.runs);
  return fmt::format("differs {}; {}", trial.count(), trial.last.text);
}

std::string Bisection::text() const {
  if (good.trial.failed > 0) {
    return "nothing to find: the good commit differs from its own first run\n" +
           indented("good", good.title) + indented("", good.text());
  }
  if (bad.trial.failed == 0) {
    return "nothing to find: the bad commit is equal to the good one\n" +
           indented("good", good.title) + indented("bad", bad.title) + indented("", bad.text());
  }
  std::string text = is_found() ? fmt::format("{} moved the bits of {}\n", suspects.front(), arm)
                                : fmt::format(
                                      "one of {} commits moved the bits of {}: those between "
                                      "cannot be run\n",
                                      suspects.size(), arm);
  if (!is_found()) {
    for (const std::string& each : suspects) text += indented("", each);
  }
  text += indented("it", found.text());
  text += indented("good", good.title + ": " + good.text());
  text += indented("tried", fmt::format("{} of {} commits between", tried.size(), between));
  for (const TriedCommit& each : tried) {
    if (each.is_refused()) text += indented("skipped", each.title + ": " + each.text());
  }
  return text;
}

int64_t runs_to_miss_nothing(double share) {
  constexpr double kMissed = 0.01;
  constexpr double kMost = 50;
  if (share >= 1) return 1;
  return static_cast<int64_t>(std::min(kMost, std::ceil(std::log(kMissed) / std::log(1 - share))));
}

Bisection bisect_commits(const Case& c, const BisectOptions& options, Progress& progress) {
  return Search(c, arm_of(c, options.arm), options, progress).run();
}

}  // namespace samebits
