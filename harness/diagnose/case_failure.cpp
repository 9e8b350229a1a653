#include "harness/diagnose/case_failure.h"

#include <algorithm>

#include "harness/compare/divergence.h"
#include "harness/compare/evidence.h"
#include "harness/compare/on_policy.h"
#include "harness/compare/verdict.h"

namespace samebits {
namespace {

using Kind = CaseFailure::Kind;

bool is_number(const std::string& text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// Where a failure shows first: in an operator's output, where those were seen, and in a value.
void name_site(CaseFailure& failure, const std::string& site) {
  (is_operator_site(site) ? failure.named_operator : failure.value) = site_without_numbers(site);
}

std::optional<CaseFailure> nonfinite_failure(const std::vector<std::string>& arms,
                                             const ArmRecording& recording) {
  CaseFailure failure;
  failure.kind = Kind::kNonfinite;
  failure.arms = arms;
  for (const Observation& each : recording.ranks.front().observations) {
    if (!has_nonfinite(each)) continue;
    if (failure.what().empty()) {
      failure.where = place_text(each);
      failure.step = each.step;
    }
    // What follows in the step has it of the first.
    if (!is_operator_site(each.site) || failure.named_operator.empty()) {
      name_site(failure, each.site);
    }
    if (!failure.value.empty()) return failure;
  }
  return failure.what().empty() ? std::nullopt : std::optional(failure);
}

const std::optional<Divergence>& first_of(const PairComparison& comparison) {
  return comparison.first_value ? comparison.first_value : comparison.first;
}

std::optional<CaseFailure> failure_of_pair(const Relation& relation, const Verdict::Pair& pair,
                                           const std::vector<ArmRecording>& recordings) {
  const PairComparison& comparison = pair.comparison;
  if (pair.holds || comparison.compared == 0 || !pair.has_all_ranks) return std::nullopt;
  CaseFailure failure;
  failure.arms = {pair.a, pair.b};
  if (relation.holds == Holds::kMustDiverge) {
    failure.kind = Kind::kHolds;
    failure.where = std::to_string(comparison.compared) + " observations are equal";
    return failure;
  }
  const std::optional<Divergence>& first = first_of(comparison);
  const ArmRecording& a = recording_of(recordings, pair.a);
  if (!first) return nonfinite_failure(failure.arms, a);
  failure.where = first->text();
  failure.step = first->step;
  failure.place = {first->step, first->phase, first->site, first->occurrence};
  name_site(failure, first->site);
  if (!failure.value.empty()) return failure;
  const PairComparison values = compare_recordings(
      without_operators(a), without_operators(recording_of(recordings, pair.b)), relation);
  if (const auto& value = first_of(values)) name_site(failure, value->site);
  return failure;
}

std::optional<CaseFailure> failure_of_arm(const CaseArm& arm, const ArmRecording& recording) {
  if (!evidence_of(arm, recording).nonfinite.empty()) {
    return nonfinite_failure({arm.name}, recording);
  }
  const std::optional<OnPolicy> on_policy = on_policy_of(arm, recording);
  if (!on_policy || on_policy->holds || on_policy->tokens() == 0) return std::nullopt;
  CaseFailure failure;
  failure.arms = {arm.name};
  if (on_policy->rule.holds == Holds::kMustDiverge) {
    failure.kind = Kind::kHolds;
    failure.where = on_policy->text();
    return failure;
  }
  const auto& first = on_policy->comparison.first;
  if (!first) return std::nullopt;
  failure.kind = Kind::kOffPolicy;
  failure.value = site_without_numbers(first->site);
  failure.where = first->text();
  failure.step = first->step;
  return failure;
}

}  // namespace

bool CaseFailure::is_like(const CaseFailure& wanted) const {
  const bool is_there = wanted.named_operator.empty() ? value == wanted.value
                                                      : named_operator == wanted.named_operator;
  return kind == wanted.kind && arms == wanted.arms && is_there;
}

std::string CaseFailure::text() const {
  const std::string names = list_text(arms);
  switch (kind) {
    case Kind::kDiffers:
      return names + " differ at " + what();
    case Kind::kNonfinite:
      return names + (arms.size() == 1 ? " has" : " have") + " a NaN or an infinity at " + what();
    case Kind::kOffPolicy:
      return names + " is off policy: generator and trainer differ at " + what();
    case Kind::kHolds:
      break;
  }
  return arms.size() == 1 ? names + " was to be off policy, and is not"
                          : names + " were to diverge, and are equal";
}

std::string site_without_numbers(const std::string& site) {
  const std::string name = site_kind(site.substr(0, site.find('#')));
  std::string kept;
  for (size_t begin = 0; begin <= name.size();) {
    const size_t dot = std::min(name.find('.', begin), name.size());
    const std::string part = name.substr(begin, dot - begin);
    if (!is_number(part)) kept += (kept.empty() ? "" : ".") + part;
    begin = dot + 1;
  }
  return kept;
}

std::string why_no_evidence(const Case& c, const std::vector<ArmRecording>& recordings) {
  for (const ArmRecording& each : recordings) {
    const Evidence evidence = evidence_of(c.arm(each.arm), each);
    for (const std::string* why : {&evidence.damage, &evidence.witness, &evidence.ranks}) {
      if (!why->empty()) return each.arm + ": " + *why;
    }
  }
  return "";
}

std::optional<CaseFailure> first_failure(const Case& c, const std::vector<ArmRecording>& recordings,
                                         const std::vector<std::string>& arms) {
  const auto is_asked = [&](const std::string& name) {
    return arms.empty() || std::find(arms.begin(), arms.end(), name) != arms.end();
  };
  for (const Verdict& verdict : judge_case(c, recordings)) {
    if (arms.size() == 1) break;
    for (const Verdict::Pair& pair : verdict.pairs) {
      if (!is_asked(pair.a) || !is_asked(pair.b)) continue;
      if (auto failure = failure_of_pair(verdict.relation, pair, recordings)) return failure;
    }
  }
  for (const ArmRecording& each : recordings) {
    if (!is_asked(each.arm)) continue;
    if (auto failure = failure_of_arm(c.arm(each.arm), each)) return failure;
  }
  return std::nullopt;
}

}  // namespace samebits
