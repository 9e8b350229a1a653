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

// The first operator's output with a NaN or an infinity; where no operator was seen, the first
// value.
std::optional<Observation> first_nonfinite_of(const ArmRecording& recording) {
  std::optional<Observation> value;
  for (const Observation& each : recording.ranks.front().observations) {
    if (!has_nonfinite(each)) continue;
    if (is_operator_site(each.site)) return each;
    if (!value) value = each;
  }
  return value;
}

CaseFailure nonfinite_failure(const std::vector<std::string>& arms, const Observation& seen) {
  return {Kind::kNonfinite, arms, site_without_numbers(seen.site), place_text(seen), seen.step};
}

std::optional<CaseFailure> failure_of_pair(const Relation& relation, const Verdict::Pair& pair,
                                           const std::vector<ArmRecording>& recordings) {
  const PairComparison& comparison = pair.comparison;
  if (pair.holds || comparison.compared == 0 || !pair.has_all_ranks) return std::nullopt;
  const std::vector<std::string> arms = {pair.a, pair.b};
  if (relation.holds == Holds::kMustDiverge) {
    return CaseFailure{Kind::kHolds, arms, "",
                       std::to_string(comparison.compared) + " observations are equal", 0};
  }
  if (const auto& first = comparison.first_value ? comparison.first_value : comparison.first) {
    return CaseFailure{Kind::kDiffers,
                       arms,
                       site_without_numbers(first->site),
                       first->text(),
                       first->step,
                       ObservationPlace{first->step, first->phase, first->site, first->occurrence}};
  }
  if (const auto seen = first_nonfinite_of(recording_of(recordings, pair.a))) {
    return nonfinite_failure(arms, *seen);
  }
  return std::nullopt;
}

std::optional<CaseFailure> failure_of_arm(const CaseArm& arm, const ArmRecording& recording) {
  if (!evidence_of(arm, recording).nonfinite.empty()) {
    if (const auto seen = first_nonfinite_of(recording)) {
      return nonfinite_failure({arm.name}, *seen);
    }
  }
  const std::optional<OnPolicy> on_policy = on_policy_of(arm, recording);
  if (!on_policy || on_policy->holds || on_policy->tokens() == 0) return std::nullopt;
  if (on_policy->rule.holds == Holds::kMustDiverge) {
    return CaseFailure{Kind::kHolds, {arm.name}, "", on_policy->text(), 0};
  }
  const auto& first = on_policy->comparison.first;
  if (!first) return std::nullopt;
  return CaseFailure{
      Kind::kOffPolicy, {arm.name}, site_without_numbers(first->site), first->text(), first->step};
}

}  // namespace

bool CaseFailure::is_like(const CaseFailure& other) const {
  return kind == other.kind && arms == other.arms && what == other.what;
}

std::string CaseFailure::text() const {
  const std::string names = list_text(arms);
  switch (kind) {
    case Kind::kDiffers:
      return names + " differ at " + what;
    case Kind::kNonfinite:
      return names + (arms.size() == 1 ? " has" : " have") + " a NaN or an infinity at " + what;
    case Kind::kOffPolicy:
      return names + " is off policy: generator and trainer differ at " + what;
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
