#include "harness/diagnose/reducer.h"

#include <fmt/format.h>

#include <optional>

#include "harness/base/stopwatch.h"

namespace samebits {
namespace {

constexpr int64_t kRunsOfAFlakyOne = 5;

// One reduction in progress.
class Search {
 public:
  Search(const Candidate& whole, const Trial& of_whole, Probe& probe, Journal& journal,
         const ReducerOptions& options)
      : of_whole_(of_whole), probe_(probe), journal_(journal), options_(options) {
    found_.least = whole;
    found_.trial = of_whole;
  }

  // Takes the first of the smaller candidates that fails; false where none does.
  bool make_smaller(const Reduction& reduction) {
    for (const Candidate& candidate : reduction.smaller(found_.least)) {
      const std::optional<Trial> trial = trial_of(candidate);
      if (!trial) return false;
      if (trial->failed > 0 && !trial->always_fails()) {
        found_.unsteady.push_back(candidate.change + ": " + trial->count());
      }
      if (!is_taken(*trial)) continue;
      found_.least = candidate;
      found_.trial = *trial;
      found_.changes.push_back(candidate.change);
      return true;
    }
    return false;
  }

  bool is_time_over() const { return !found_.is_least; }
  Reduced found() const {
    Reduced found = found_;
    found.tried = journal_.size();
    return found;
  }

 private:
  // nullopt where the time is over.
  std::optional<Trial> trial_of(const Candidate& candidate) {
    if (const auto before = journal_.find(candidate)) return before;
    if (options_.time_limit_s > 0 && clock_.seconds() > options_.time_limit_s) {
      found_.is_least = false;
      return std::nullopt;
    }
    if (options_.on_trial) options_.on_trial(candidate, journal_.size());
    journal_.begin(candidate);
    Trial trial = try_candidate(candidate, probe_, of_whole_.always_fails() ? 2 : kRunsOfAFlakyOne);
    journal_.add(candidate, trial);
    return trial;
  }

  // Rates of few runs are rough, hence the half.
  bool is_taken(const Trial& trial) const {
    if (of_whole_.always_fails()) return trial.always_fails();
    return trial.failed > 0 && 2 * trial.failed * of_whole_.runs >= of_whole_.failed * trial.runs;
  }

  Trial of_whole_;
  Probe& probe_;
  Journal& journal_;
  const ReducerOptions& options_;
  Stopwatch clock_;
  Reduced found_;
};

}  // namespace

std::string Trial::count() const {
  if (always_fails()) return fmt::format("always, in {} run{}", runs, runs == 1 ? "" : "s");
  return fmt::format("in {} of {} runs", failed, runs);
}

Trial try_candidate(const Candidate& candidate, Probe& probe, int64_t fewest) {
  Trial trial;
  int64_t wanted = fewest;
  while (trial.runs < wanted) {
    const Sighting seen = probe.run(candidate);
    ++trial.runs;
    const bool fails = seen.kind == Sighting::Kind::kSame;
    if (fails || trial.failed == 0) trial.last = seen;
    if (fails) ++trial.failed;
    if (seen.kind == Sighting::Kind::kRefused) break;
    // The first run decides of what always fails; what fails once and not again needs more of them.
    if (!fails && trial.failed == 0 && fewest < kRunsOfAFlakyOne) break;
    if (trial.failed > 0 && trial.failed < trial.runs) wanted = kRunsOfAFlakyOne;
  }
  return trial;
}

Reduced reduce(const Candidate& whole, const Trial& of_whole,
               const std::vector<Reduction>& reductions, Probe& probe, Journal& journal,
               const ReducerOptions& options) {
  Search search(whole, of_whole, probe, journal, options);
  bool is_smaller = true;
  while (is_smaller && !search.is_time_over()) {
    is_smaller = false;
    for (const Reduction& reduction : reductions) {
      while (search.make_smaller(reduction)) is_smaller = true;
      if (search.is_time_over()) break;
    }
  }
  return search.found();
}

}  // namespace samebits
