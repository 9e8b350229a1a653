#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "harness/report/record_parts.h"

namespace samebits {
namespace {

const std::vector<ReportRecord::Metric> kMetrics = {{"loss", "loss"},
                                                    {"reward_mean", "reward"},
                                                    {"grad_norm", "grad norm"},
                                                    {"kl", "KL"},
                                                    {"entropy", "entropy"}};

// An arm's observations by step, of the ranks below `ranks`.
using BySteps = std::map<int64_t, std::vector<Observation>>;
BySteps by_steps(const ArmRecording& recording, size_t ranks) {
  BySteps steps;
  for (size_t rank = 0; rank < std::min(ranks, recording.ranks.size()); ++rank) {
    for (const Observation& each : recording.ranks[rank].observations) {
      steps[each.step].push_back(each);
    }
  }
  return steps;
}

const Observation* find_site(const std::vector<Observation>& observations,
                             const std::string& site) {
  for (const Observation& each : observations) {
    if (each.site == site) return &each;
  }
  return nullptr;
}

// The tokens that the step's first phase with logprobs has scored.
int64_t count_tokens(const std::vector<Observation>& observations) {
  std::string phase;
  int64_t count = 0;
  for (const Observation& each : observations) {
    if (site_kind(each.site) != "logprob") continue;
    if (phase.empty()) phase = each.phase;
    if (each.phase == phase) ++count;
  }
  return count;
}

// "loss 5 ULP; first logprob[0,3]", or where the loss has not moved, "grad_norm 3 ULP".
std::string difference_text(const std::vector<Observation>& a, const std::vector<Observation>& b,
                            const Divergence& first) {
  const Observation* a_loss = find_site(a, "loss");
  const Observation* b_loss = find_site(b, "loss");
  if (a_loss != nullptr && b_loss != nullptr && first.site != "loss") {
    const auto distance = scalar_ulp(*a_loss, *b_loss);
    if (distance && *distance > 0) return "loss " + ulp_text(*distance) + "; first " + first.site;
  }
  if (first.distance) return first.site + " " + ulp_text(*first.distance);
  return first.site + (first.a && first.b ? " differs" : " not seen by both");
}

std::vector<Observation> chosen(std::vector<Observation> observations, bool with_operators) {
  if (with_operators) return observations;
  std::erase_if(observations, [](const Observation& each) { return is_operator_site(each.site); });
  return observations;
}

// `arms` in the order of the verdict's relation.
ReportRecord::Cell cell_of(const Verdict& verdict, const std::vector<const BySteps*>& arms,
                           int64_t step) {
  const Relation& relation = verdict.relation;
  static const std::vector<Observation> kNone;
  const auto at = [&](const BySteps& steps) -> const std::vector<Observation>& {
    const auto found = steps.find(step);
    return found == steps.end() ? kNone : found->second;
  };
  std::vector<std::string> differences;
  for (size_t i = 1; i < arms.size(); ++i) {
    const bool compares_operators = verdict.pairs[i - 1].compares_operators;
    const PairComparison comparison =
        compare_streams(chosen(at(*arms[0]), compares_operators),
                        chosen(at(*arms[i]), compares_operators), relation);
    if (!comparison.first) continue;
    std::string text = difference_text(at(*arms[0]), at(*arms[i]), *comparison.first);
    if (arms.size() > 2) text = relation.arms[i] + ": " + text;
    differences.push_back(std::move(text));
  }
  std::string joined;
  for (const std::string& difference : differences) {
    joined += (joined.empty() ? "" : "; ") + difference;
  }
  if (differences.empty()) {
    const bool has_bound = relation.holds == Holds::kUlp || relation.holds == Holds::kAllclose;
    return {true, has_bound ? "within" : "equal"};
  }
  return {false, joined};
}

// "equal", or the arms whose generator and trainer differ in this step; "" where none is judged.
std::string on_policy_text(const std::vector<ReportRecord::ArmRecord>& arms, int64_t step) {
  std::vector<std::string> different;
  std::string words;
  bool is_judged = false;
  for (const ReportRecord::ArmRecord& arm : arms) {
    if (!arm.on_policy || arm.on_policy->rule.holds == Holds::kNothing) continue;
    for (const OnPolicy::Step& each : arm.on_policy->steps) {
      if (each.step != step) continue;
      is_judged = true;
      if (each.different == 0 && each.nonfinite == 0) continue;
      different.push_back(arm.name);
      const std::string of = " of " + std::to_string(each.tokens) + " tokens";
      words = each.nonfinite > 0 ? " is NaN or infinite in " + std::to_string(each.nonfinite) + of
                                 : " differs in " + std::to_string(each.different) + of;
    }
  }
  if (different.empty()) return is_judged ? "equal" : "";
  if (different.size() == 1) return different[0] + words;
  return std::to_string(different.size()) + " arms differ or are NaN";
}

using Losses = std::vector<std::optional<Observation>>;  // one a step

Losses losses_of(const BySteps& steps, const std::set<int64_t>& numbers) {
  Losses losses;
  for (const int64_t number : numbers) {
    const auto found = steps.find(number);
    const Observation* loss = found == steps.end() ? nullptr : find_site(found->second, "loss");
    losses.push_back(loss == nullptr ? std::nullopt : std::optional(*loss));
  }
  return losses;
}

ReportRecord::LossSeries series_of(const std::string& arm, const Losses& losses,
                                   const Losses& first) {
  ReportRecord::LossSeries series{{arm}, {}, {}};
  for (size_t i = 0; i < losses.size(); ++i) {
    series.values.push_back(losses[i] ? std::optional(scalar_value(*losses[i])) : std::nullopt);
    series.distance.push_back(losses[i] && first[i] ? scalar_ulp(*first[i], *losses[i])
                                                    : std::nullopt);
  }
  return series;
}

}  // namespace

void add_steps(ReportRecord& record, const std::vector<ArmRecording>& recordings) {
  std::map<std::string, BySteps> arms;
  size_t ranks = recordings.front().ranks.size();
  for (const ArmRecording& recording : recordings) {
    ranks = std::min(ranks, recording.ranks.size());
  }
  for (const ArmRecording& recording : recordings) {
    arms[recording.arm] = by_steps(recording, ranks);
  }
  std::set<int64_t> numbers;
  for (const auto& [name, steps] : arms) {
    for (const auto& [number, unused] : steps) numbers.insert(number);
  }
  std::vector<Losses> distinct;
  for (const ArmRecording& recording : recordings) {
    const Losses losses = losses_of(arms[recording.arm], numbers);
    const auto same = std::find(distinct.begin(), distinct.end(), losses);
    if (same != distinct.end()) {
      record.losses[static_cast<size_t>(same - distinct.begin())].arms.push_back(recording.arm);
      continue;
    }
    distinct.push_back(losses);
    record.losses.push_back(series_of(recording.arm, losses, distinct.front()));
  }
  const BySteps& reference = arms[recordings.front().arm];
  for (const ReportRecord::Metric& metric : kMetrics) {
    const bool is_there = std::any_of(reference.begin(), reference.end(), [&](const auto& step) {
      return find_site(step.second, metric.site) != nullptr;
    });
    if (is_there) record.metrics.push_back(metric);
  }
  for (const int64_t number : numbers) {
    ReportRecord::Step row{number, {}, 0, {}, on_policy_text(record.arms, number), {}};
    for (const ArmRecording& recording : recordings) {
      const BySteps& steps = arms[recording.arm];
      const auto of_arm = steps.find(number);
      const Observation* loss = of_arm == steps.end() ? nullptr : find_site(of_arm->second, "loss");
      row.losses.push_back(loss == nullptr ? "" : scalar_text(*loss));
    }
    const auto found = reference.find(number);
    for (const ReportRecord::Metric& metric : record.metrics) {
      const Observation* seen =
          found == reference.end() ? nullptr : find_site(found->second, metric.site);
      row.values.push_back(seen == nullptr ? "" : scalar_text(*seen));
    }
    if (found != reference.end()) row.tokens = count_tokens(found->second);
    for (const Verdict& verdict : record.verdicts) {
      std::vector<const BySteps*> of_relation;
      for (const std::string& name : verdict.relation.arms) of_relation.push_back(&arms[name]);
      row.cells.push_back(cell_of(verdict, of_relation, number));
    }
    record.steps.push_back(std::move(row));
  }
}

}  // namespace samebits
