#include "harness/compare/verdict.h"

#include <algorithm>

#include "harness/base/error.h"
#include "harness/bits/ulp.h"
#include "harness/case/case_relation.h"
#include "harness/compare/evidence.h"

namespace samebits {
namespace {

Verdict::Pair judge_pair(const Relation& relation, const ArmRecording& first,
                         const ArmRecording& other, const PairRules& rules) {
  Verdict::Pair pair;
  pair.a = first.arm;
  pair.b = other.arm;
  pair.compares_operators = rules.compares_operators;
  pair.comparison =
      rules.compares_operators
          ? compare_recordings(first, other, relation)
          : compare_recordings(without_operators(first), without_operators(other), relation);
  pair.has_all_ranks = has_all_ranks(first, other);
  pair.holds = pair.has_all_ranks && does_hold(relation, pair.comparison, rules.nonfinite);
  return pair;
}

std::string distance_text(const PairComparison& comparison) {
  std::string text;
  if (comparison.max_loss_ulp > 0) text = "losses by up to " + ulp_text(comparison.max_loss_ulp);
  if (comparison.max_logprob_ulp > 0) {
    if (!text.empty()) text += ", ";
    text += "logprobs by up to " + ulp_text(comparison.max_logprob_ulp);
  }
  return text.empty() ? "in values without a distance" : text;
}

// How equal what is equal is: logs do not hold every bit.
std::string equality_text(const PairComparison& comparison) {
  return comparison.precision.empty() ? "to the bit" : comparison.precision;
}

std::string failure_text(const Relation& relation, const Verdict::Pair& pair) {
  const std::string both = pair.a + " and " + pair.b;
  if (pair.comparison.compared == 0) return both + " have no observation in common";
  if (!pair.has_all_ranks) return both + " have streams of unequal numbers of ranks";
  if (relation.holds == Holds::kMustDiverge) {
    return both + " were to diverge, and their " + std::to_string(pair.comparison.compared) +
           " common observations are equal " + equality_text(pair.comparison);
  }
  if (const auto& first = pair.comparison.first) {
    return both + " diverge at " + first->text() + " (" +
           std::to_string(pair.comparison.different) + " of " +
           std::to_string(pair.comparison.compared) + " observations differ)";
  }
  const Observation& first = *pair.comparison.first_nonfinite;
  return both + " agree in nothing at step " + std::to_string(first.step) + ", " + first.phase +
         ", " + first.site + ": NaN or infinite in both (" +
         std::to_string(pair.comparison.nonfinite) + " of " +
         std::to_string(pair.comparison.compared) + " observations)";
}

// What a bound could not look at.
std::string unknown_text(const std::vector<Verdict::Pair>& pairs) {
  int64_t unknown = 0;
  for (const Verdict::Pair& pair : pairs) unknown += pair.comparison.unknown;
  if (unknown == 0) return "";
  return " (" + std::to_string(unknown) + " tensors whose digests differ were not compared)";
}

Json json_from_observation(const std::optional<Observation>& observation) {
  return observation ? Json::parse(line_from_observation(*observation)) : Json();
}

// kUlpNan does not fit a JSON reader's double.
Json json_from_distance(uint64_t distance) {
  return distance == kUlpNan ? Json("nan") : Json(distance);
}

Json json_from_pair(const Verdict::Pair& pair) {
  const PairComparison& comparison = pair.comparison;
  Json json = {{"a", pair.a},
               {"b", pair.b},
               {"holds", pair.holds},
               {"compared", comparison.compared},
               {"different", comparison.different},
               {"unknown", comparison.unknown},
               {"nonfinite", comparison.nonfinite},
               {"compares_operators", pair.compares_operators},
               {"only_a", comparison.only_a},
               {"only_b", comparison.only_b},
               {"max_loss_ulp", json_from_distance(comparison.max_loss_ulp)},
               {"max_logprob_ulp", json_from_distance(comparison.max_logprob_ulp)}};
  if (!comparison.precision.empty()) json["precision"] = comparison.precision;
  if (comparison.first_different_step) {
    json["first_different_step"] = *comparison.first_different_step;
  }
  if (const auto& first = comparison.first) {
    json["divergence"] = {{"text", first->text()},
                          {"occurrence", first->occurrence},
                          {"a", json_from_observation(first->a)},
                          {"b", json_from_observation(first->b)}};
  }
  return json;
}

}  // namespace

std::string list_text(const std::vector<std::string>& names) {
  std::string text;
  for (size_t i = 0; i < names.size(); ++i) {
    if (i > 0) text += i + 1 == names.size() ? " and " : ", ";
    text += names[i];
  }
  return text;
}

std::string Verdict::equality() const {
  std::vector<std::string> texts;
  for (const Pair& pair : pairs) {
    const std::string text = equality_text(pair.comparison);
    if (std::find(texts.begin(), texts.end(), text) == texts.end()) texts.push_back(text);
  }
  return list_text(texts);
}

std::string Verdict::text() const {
  if (!holds) {
    for (const Pair& pair : pairs) {
      if (!pair.holds) return failure_text(relation, pair);
    }
  }
  const std::string arms = list_text(relation.arms);
  switch (relation.holds) {
    case Holds::kBitExact:
      return arms + " are equal " + equality();
    case Holds::kUlp:
      return arms + " are within " + std::to_string(relation.max_ulp) + " ULP" +
             unknown_text(pairs);
    case Holds::kAllclose:
      return arms + " are close: rtol " + shortest_text(relation.rtol) + ", atol " +
             shortest_text(relation.atol) + unknown_text(pairs);
    case Holds::kMustDiverge:
    case Holds::kNothing:
      break;
  }
  const PairComparison& comparison = pairs.front().comparison;
  return pairs.front().b + " differs from " + pairs.front().a + " from step " +
         std::to_string(*comparison.first_different_step) + " on, " + distance_text(comparison);
}

bool does_hold(const Relation& relation, const PairComparison& comparison, Nonfinite nonfinite) {
  if (relation.holds == Holds::kMustDiverge) return comparison.different > 0;
  return nonfinite == Nonfinite::kAccept ? !comparison.differs() : comparison.agrees();
}

bool runs_same_operators(const CaseArm& a, const CaseArm& b) {
  return a.workload.kind == b.workload.kind &&
         a.workload.max_batch_tokens == b.workload.max_batch_tokens &&
         a.workload.max_train_tokens == b.workload.max_train_tokens &&
         a.workload.gradient_groups == b.workload.gradient_groups &&
         a.mesh.shares() == b.mesh.shares();
}

Verdict judge_relation(const Relation& relation, const std::vector<ArmRecording>& recordings,
                       const RulesOfPair& rules) {
  Verdict verdict{relation, true, {}};
  const ArmRecording& first = recording_of(recordings, relation.arms.front());
  for (size_t i = 1; i < relation.arms.size(); ++i) {
    const ArmRecording& other = recording_of(recordings, relation.arms[i]);
    verdict.pairs.push_back(
        judge_pair(relation, first, other, rules ? rules(first.arm, other.arm) : PairRules()));
    verdict.holds = verdict.holds && verdict.pairs.back().holds;
  }
  return verdict;
}

std::vector<Verdict> judge_case(const Case& c, const std::vector<ArmRecording>& recordings) {
  const RulesOfPair rules = [&](const std::string& a, const std::string& b) {
    const CaseArm& first = c.arm(a);
    const CaseArm& other = c.arm(b);
    const bool is_accepted =
        first.nonfinite == Nonfinite::kAccept && other.nonfinite == Nonfinite::kAccept;
    return PairRules{is_accepted ? Nonfinite::kAccept : Nonfinite::kRefuse,
                     runs_same_operators(first, other)};
  };
  std::vector<Verdict> verdicts;
  for (const Relation& relation : c.relations) {
    verdicts.push_back(judge_relation(relation, recordings, rules));
  }
  return verdicts;
}

Json json_from_verdict(const Verdict& verdict) {
  Json pairs = Json::array();
  for (const Verdict::Pair& pair : verdict.pairs) pairs.push_back(json_from_pair(pair));
  return {{"relation", json_from_relation(verdict.relation)},
          {"holds", verdict.holds},
          {"text", verdict.text()},
          {"pairs", std::move(pairs)}};
}

}  // namespace samebits
