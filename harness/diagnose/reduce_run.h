#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "harness/diagnose/case_failure.h"
#include "harness/diagnose/reducer.h"
#include "harness/run/progress.h"
#include "harness/run/run_case.h"

namespace samebits {

struct ReduceOptions {
  std::filesystem::path run;
  std::filesystem::path out;
  Existing existing = Existing::kRefuse;
  std::vector<std::string> arms = {};  // whose failure; none: the run's first
  double time_limit_s = 0;             // 0: none
};

// What came of reducing a run.
struct ReducedRun {
  // Of the run, then of the least case; nullopt: nothing in the run can be reduced.
  std::optional<CaseFailure> failure;
  std::string where_in_run;
  Trial of_whole;  // it was not reproduced where none of its runs failed
  Reduced reduced;
  Trial of_least;           // from the folder that stands alone
  bool has_script = false;  // stock torch has the operator: upstream.py
  std::string alone = {};   // of programs that differ: what looking for one operator came to
  // "steps", of the run, here.
  struct Size {
    std::string name;
    std::string before;
    std::string after;
  };
  std::vector<Size> sizes;

  bool is_reproduced() const { return failure && of_whole.failed > 0; }
  bool is_reduced() const { return is_reproduced() && of_least.failed > 0; }
  std::string text() const;  // for a person, some lines
};

// Finds the least case that fails as a run did. Leaves it in `out`, as a folder that stands alone:
// case.json and what it reads, README.md, issue.md, and journal.jsonl, by which a reduction that
// was cut off is taken up. Throws InputError for a folder that holds no such run, and for an `out`
// that holds something else.
ReducedRun reduce_run(const ReduceOptions& options, Progress& progress);

}  // namespace samebits
