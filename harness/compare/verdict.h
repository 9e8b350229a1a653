#pragma once

#include <string>
#include <vector>

#include "harness/compare/divergence.h"
#include "harness/core/json.h"

namespace samebits {

// What came of one relation of a case.
struct Verdict {
  struct Pair {
    std::string a;  // the relation's first arm
    std::string b;  // each of the others
    PairComparison comparison;
    bool holds = false;
  };
  Relation relation;
  bool holds = false;
  std::vector<Pair> pairs;

  // One sentence: what held, or the first divergence.
  std::string text() const;
};

// Compares the relation's first arm with each of the others. A relation about nothing (no aligned
// observation) fails. must_diverge holds when a value that both arms saw differs; what only one of
// them saw proves nothing. Throws InputError when an arm of the relation is not in `recordings`.
Verdict judge_relation(const Relation& relation, const std::vector<ArmRecording>& recordings);

std::vector<Verdict> judge_case(const Case& c, const std::vector<ArmRecording>& recordings);

Json json_from_verdict(const Verdict& verdict);

}  // namespace samebits
