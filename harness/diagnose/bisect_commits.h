#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "harness/case/case.h"
#include "harness/diagnose/trial.h"
#include "harness/run/progress.h"
#include "harness/run/run_case.h"

namespace samebits {

struct BisectOptions {
  std::filesystem::path out;
  Existing existing = Existing::kRefuse;
  std::string arm = {};  // of a commit; "": the only one of the case
  std::string good;      // revisions of its repository
  std::string bad;
  Relation relation = {};  // what holds between what the good commit observes and what another does
  int64_t runs = 2;        // of each commit, where the bad one differs always
};

// What came of a commit: in how many of its runs it differs from the good one, or why it cannot be
// run.
struct TriedCommit {
  std::string title;  // "8f3c2a1b9d0e scale the loss"
  Trial trial;

  bool is_refused() const { return trial.last.kind == Sighting::Kind::kRefused; }
  std::string text() const;
};

struct Bisection {
  std::string arm;
  TriedCommit good;  // against its own first run
  TriedCommit bad;
  std::vector<TriedCommit> tried = {};  // between the two, in this order
  int64_t between = 0;                  // commits that are neither
  // The commit that moved the bits; where others next to it cannot be run, those too.
  std::vector<std::string> suspects = {};
  TriedCommit found = {};  // where it is one

  bool is_found() const { return suspects.size() == 1; }
  std::string text() const;  // for a person, some lines
};

// Finds the commit from which on an arm of a commit observes something else than at the good one.
// Leaves in `out` what each commit observed and printed, in a folder of its own; the journal, by
// which a search that was cut off is taken up; and case.json, which compares the commit that was
// found with the one before. Throws InputError for revisions that are none, or of which the good
// one is no ancestor of the bad one; RunError where one of these two cannot be run.
Bisection bisect_commits(const Case& c, const BisectOptions& options, Progress& progress);

// How many runs without a difference leave a chance of at most 1 % that a commit which differs in
// this share of its runs was missed; 50 at most.
int64_t runs_to_miss_nothing(double share);

}  // namespace samebits
