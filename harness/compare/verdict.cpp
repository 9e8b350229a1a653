#include "harness/compare/verdict.h"

#include <algorithm>

#include "harness/core/case_write.h"
#include "harness/core/error.h"
#include "harness/core/ulp.h"

namespace samebits {
namespace {

const ArmRecording& find(const std::vector<ArmRecording>& recordings, const std::string& arm) {
  for (const ArmRecording& recording : recordings) {
    if (recording.arm == arm) return recording;
  }
  throw InputError("arm " + arm, "no recorded stream", "a run of it");
}

bool does_hold(const Relation& relation, const PairComparison& comparison) {
  if (relation.holds != Holds::kMustDiverge) return comparison.agrees();
  return comparison.different > 0;
}

std::string names_text(const std::vector<std::string>& names) {
  std::string text;
  for (size_t i = 0; i < names.size(); ++i) {
    if (i > 0) text += i + 1 == names.size() ? " and " : ", ";
    text += names[i];
  }
  return text;
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

std::string failure_text(const Relation& relation, const Verdict::Pair& pair) {
  const std::string both = pair.a + " and " + pair.b;
  if (pair.comparison.compared == 0) return both + " have no observation in common";
  if (relation.holds == Holds::kMustDiverge) {
    return both + " were to diverge, and their " + std::to_string(pair.comparison.compared) +
           " common observations are equal to the bit";
  }
  return both + " part at " + pair.comparison.first->text() + " (" +
         std::to_string(pair.comparison.different) + " of " +
         std::to_string(pair.comparison.compared) + " observations differ)";
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
               {"only_a", comparison.only_a},
               {"only_b", comparison.only_b},
               {"max_loss_ulp", json_from_distance(comparison.max_loss_ulp)},
               {"max_logprob_ulp", json_from_distance(comparison.max_logprob_ulp)}};
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

std::string Verdict::text() const {
  if (!holds) {
    for (const Pair& pair : pairs) {
      if (!pair.holds) return failure_text(relation, pair);
    }
  }
  const std::string arms = names_text(relation.arms);
  switch (relation.holds) {
    case Holds::kBitExact:
      return arms + " are equal to the bit";
    case Holds::kUlp:
      return arms + " are within " + std::to_string(relation.max_ulp) + " ULP";
    case Holds::kAllclose:
      return arms + " are close: rtol " + shortest_text(relation.rtol) + ", atol " +
             shortest_text(relation.atol);
    case Holds::kMustDiverge:
      break;
  }
  const PairComparison& comparison = pairs.front().comparison;
  return pairs.front().b + " differs from " + pairs.front().a + " from step " +
         std::to_string(*comparison.first_different_step) + " on, " + distance_text(comparison);
}

Verdict judge_relation(const Relation& relation, const std::vector<ArmRecording>& recordings) {
  Verdict verdict{relation, true, {}};
  const ArmRecording& first = find(recordings, relation.arms.front());
  for (size_t i = 1; i < relation.arms.size(); ++i) {
    const ArmRecording& other = find(recordings, relation.arms[i]);
    Verdict::Pair pair{first.arm, other.arm, compare_recordings(first, other, relation), false};
    pair.holds = does_hold(relation, pair.comparison);
    verdict.holds = verdict.holds && pair.holds;
    verdict.pairs.push_back(std::move(pair));
  }
  return verdict;
}

std::vector<Verdict> judge_case(const Case& c, const std::vector<ArmRecording>& recordings) {
  std::vector<Verdict> verdicts;
  for (const Relation& relation : c.relations) {
    verdicts.push_back(judge_relation(relation, recordings));
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
