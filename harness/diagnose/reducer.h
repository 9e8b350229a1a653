#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "harness/diagnose/journal.h"
#include "harness/diagnose/reductions.h"
#include "harness/diagnose/trial.h"

namespace samebits {

struct ReducerOptions {
  double time_limit_s = 0;  // after which nothing new is tried; 0: none
  // Told of each candidate before it is tried, with how many were.
  std::function<void(const Candidate&, int64_t tried)> on_trial = {};
};

struct Reduced {
  Candidate least;
  Trial trial;                        // of it
  std::vector<std::string> changes;   // those that were taken, in order
  std::vector<std::string> unsteady;  // "steps 3 -> 2: in 2 of 5 runs": that fail only sometimes
  int64_t tried = 0;                  // candidates, in this and in earlier processes
  bool is_least = true;               // false: the time was over before everything had been tried
};

// How often a candidate fails: `fewest` runs where all of them do, or none; otherwise five.
Trial try_candidate(const Candidate& candidate, Probe& probe, int64_t fewest);

// Greedy delta debugging: one reduction after the other, each until it gives nothing smaller that
// fails, and all of them again until none does. A candidate is taken where it fails twice, or, of a
// whole that fails only sometimes, at least half as often as that. `of_whole`: what came of trying
// the whole, which failed. Throws what the journal's file does.
Reduced reduce(const Candidate& whole, const Trial& of_whole,
               const std::vector<Reduction>& reductions, Probe& probe, Journal& journal,
               const ReducerOptions& options = {});

}  // namespace samebits
