#pragma once

#include <functional>
#include <string>
#include <vector>

#include "harness/base/json.h"
#include "harness/compare/divergence.h"

namespace samebits {

// What came of one relation of a case.
struct Verdict {
  struct Pair {
    std::string a;  // the relation's first arm
    std::string b;  // each of the others
    PairComparison comparison;
    bool holds = false;
    bool compares_operators = true;  // false: the arms cut the work differently
    bool has_all_ranks = true;       // false: one has ranks that nothing of the other answers to
  };
  Relation relation;
  bool holds = false;
  std::vector<Pair> pairs;

  // How equal what is equal is: "to the bit", or what logs hold (common_precision.h).
  std::string equality() const;

  // One sentence: what held, or the first divergence.
  std::string text() const;
};

// "a, b and c".
std::string list_text(const std::vector<std::string>& names);

// Whether a relation holds of what a comparison found. One about nothing (no aligned observation)
// does not. must_diverge holds when a value that both arms saw differs; what only one of them saw
// proves nothing. Two NaNs are no agreement, unless `nonfinite` accepts them.
bool does_hold(const Relation& relation, const PairComparison& comparison,
               Nonfinite nonfinite = Nonfinite::kRefuse);

// What the settings of two arms say about comparing them.
struct PairRules {
  Nonfinite nonfinite = Nonfinite::kRefuse;
  bool compares_operators = true;
};
using RulesOfPair = std::function<PairRules(const std::string& a, const std::string& b)>;

// Compares the relation's first arm with each of the others. Throws InputError when an arm of the
// relation is not in `recordings`.
Verdict judge_relation(const Relation& relation, const std::vector<ArmRecording>& recordings,
                       const RulesOfPair& rules = {});

// All relations of a case. Operators' outputs are compared where both arms run the same operators
// on the same shapes: the same workload in batches of the same size.
std::vector<Verdict> judge_case(const Case& c, const std::vector<ArmRecording>& recordings);

bool runs_same_operators(const CaseArm& a, const CaseArm& b);

Json json_from_verdict(const Verdict& verdict);

}  // namespace samebits
