#include "harness/report/record.h"

#include <algorithm>
#include <map>
#include <set>

#include "harness/core/error.h"

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

std::string join(const std::vector<std::string>& parts, const std::string& separator) {
  std::string text;
  for (const std::string& part : parts) {
    if (!text.empty()) text += separator;
    text += part;
  }
  return text;
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

ReportRecord::Cell cell_of(const Relation& relation, const std::vector<const BySteps*>& arms,
                           int64_t step) {
  static const std::vector<Observation> kNone;
  const auto at = [&](const BySteps& steps) -> const std::vector<Observation>& {
    const auto found = steps.find(step);
    return found == steps.end() ? kNone : found->second;
  };
  std::vector<std::string> differences;
  for (size_t i = 1; i < arms.size(); ++i) {
    const PairComparison comparison = compare_streams(at(*arms[0]), at(*arms[i]), relation);
    if (!comparison.first) continue;
    std::string text = difference_text(at(*arms[0]), at(*arms[i]), *comparison.first);
    if (arms.size() > 2) text = relation.arms[i] + ": " + text;
    differences.push_back(std::move(text));
  }
  if (differences.empty()) {
    const bool has_bound = relation.holds == Holds::kUlp || relation.holds == Holds::kAllclose;
    return {true, has_bound ? "within" : "equal"};
  }
  return {false, join(differences, "; ")};
}

std::string mode_of(const Arm& arm) {
  std::string mode = "TP " + std::to_string(arm.mesh.tp) + ", " + to_string(arm.generator);
  if (arm.trainer != Execution::kEager) mode += ", trainer " + to_string(arm.trainer);
  // What runs in pieces was never traced, so it has no guards to drop.
  const bool is_traced = arm.generator == Execution::kCaptured ||
                         arm.generator == Execution::kFullGraph || arm.trainer != Execution::kEager;
  const bool drops_guards = is_traced && arm.guards == GuardPolicy::kDrop;
  return drops_guards ? mode + ", no guards" : mode;
}

ReportRecord::ArmCost cost_of(const Arm& arm, const ArmRecording& recording,
                              const std::optional<Manifest>& manifest) {
  ReportRecord::ArmCost cost;
  cost.name = arm.name;
  cost.mode = mode_of(arm);
  cost.generator = to_string(arm.generator);
  cost.trainer = to_string(arm.trainer);
  cost.guards = recording.guards;
  if (!recording.ranks.empty()) cost.gap = logprob_gap(recording.ranks.front().observations);
  cost.finished = recording.finished;
  cost.steps = static_cast<int64_t>(recording.steps.size());
  double total = 0;
  for (const StepRecord& step : recording.steps) {
    for (const PhaseCost& phase : step.phases) {
      auto at = std::find_if(cost.phases.begin(), cost.phases.end(),
                             [&](const auto& each) { return each.phase == phase.phase; });
      if (at == cost.phases.end()) at = cost.phases.insert(at, {phase.phase, 0, 0, 0});
      at->seconds += phase.seconds;
      at->peak_bytes = std::max(at->peak_bytes, phase.peak_bytes);
      total += phase.seconds;
    }
    for (const auto& [name, count] : step.witness) {
      auto at = std::find_if(cost.witness.begin(), cost.witness.end(),
                             [&, &key = name](const auto& each) { return each.first == key; });
      if (at == cost.witness.end()) at = cost.witness.insert(at, {name, 0});
      at->second += count;
    }
    cost.completion = step.completion;
  }
  for (ReportRecord::PhaseTotal& phase : cost.phases) {
    phase.share = total > 0 ? phase.seconds / total : 0;
  }
  cost.wall_seconds = total;
  if (!manifest) return cost;
  for (const Manifest::ArmEntry& entry : manifest->arms) {
    if (entry.name != arm.name) continue;
    cost.wall_seconds = entry.seconds;
    cost.witness_failure = entry.witness_failure;
  }
  return cost;
}

// "losses, rewards and token logprobs": what the first arm has of them.
std::string quantities(const ArmRecording& recording) {
  std::set<std::string> kinds;
  for (const Observation& each : recording.ranks.front().observations) {
    kinds.insert(site_kind(each.site));
  }
  std::vector<std::string> names;
  if (kinds.contains("loss")) names.push_back("losses");
  if (kinds.contains("reward") || kinds.contains("reward_mean")) names.push_back("rewards");
  if (kinds.contains("logprob")) names.push_back("token logprobs");
  if (names.empty()) return "observations";
  if (names.size() == 1) return names[0];
  const std::string last = names.back();
  names.pop_back();
  return join(names, ", ") + " and " + last;
}

std::string headline_of(const ReportRecord& record, const ArmRecording& first) {
  std::vector<std::string> failures;
  std::vector<std::string> facts;
  for (const Verdict& verdict : record.verdicts) {
    if (!verdict.holds) {
      failures.push_back(verdict.text());
    } else if (verdict.relation.holds == Holds::kBitExact) {
      facts.push_back("all " + quantities(first) + " of arms " + join(verdict.relation.arms, ", ") +
                      " are equal to the bit");
    } else if (verdict.relation.holds == Holds::kMustDiverge) {
      facts.push_back("control " + verdict.text());
    } else {
      facts.push_back(verdict.text());
    }
  }
  for (const ReportRecord::ArmCost& arm : record.arms) {
    if (!arm.finished) failures.push_back(arm.name + " was cut off");
    if (!arm.witness_failure.empty()) {
      failures.push_back(arm.name + " did not run in its mode: " + arm.witness_failure);
    }
  }
  for (const ReportRecord::GoldenLine& line : record.golden) {
    if (line.status == "different") failures.push_back(line.arm + ", " + line.text);
  }
  if (record.verdicts.empty()) facts.push_back("the case states no relation");
  std::string text = join(failures.empty() ? facts : failures, "; ") + ".";
  if (failures.empty() && text[0] >= 'a' && text[0] <= 'z') text[0] += 'A' - 'a';
  return failures.empty() ? text : "FAILED: " + text;
}

std::vector<ReportRecord::GoldenLine> golden_lines(const Manifest& manifest) {
  std::vector<ReportRecord::GoldenLine> lines;
  const JsonReader golden(manifest.golden, "manifest.json", "golden");
  for (const JsonReader& each : golden.array()) {
    lines.push_back({each.required("arm").string(), each.required("status").string(),
                     each.required("text").string()});
  }
  return lines;
}

void add_steps(ReportRecord& record, const Case& c, const std::vector<ArmRecording>& recordings) {
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
  const BySteps& reference = arms[recordings.front().arm];
  for (const ReportRecord::Metric& metric : kMetrics) {
    const bool is_there = std::any_of(reference.begin(), reference.end(), [&](const auto& step) {
      return find_site(step.second, metric.site) != nullptr;
    });
    if (is_there) record.metrics.push_back(metric);
  }
  for (const int64_t number : numbers) {
    ReportRecord::Step row{number, {}, 0, {}};
    const auto found = reference.find(number);
    for (const ReportRecord::Metric& metric : record.metrics) {
      const Observation* seen =
          found == reference.end() ? nullptr : find_site(found->second, metric.site);
      row.values.push_back(seen == nullptr ? "" : scalar_text(*seen));
    }
    if (found != reference.end()) row.tokens = count_tokens(found->second);
    for (const Relation& relation : c.relations) {
      std::vector<const BySteps*> of_relation;
      for (const std::string& name : relation.arms) of_relation.push_back(&arms[name]);
      row.cells.push_back(cell_of(relation, of_relation, number));
    }
    record.steps.push_back(std::move(row));
  }
}

}  // namespace

ReportRecord record_from(const Case& c, const std::vector<ArmRecording>& recordings,
                         const std::optional<Manifest>& manifest) {
  if (recordings.empty()) throw InputError("case " + c.name, "no recorded arm", "at least one");
  std::vector<std::string> names;
  for (const ArmRecording& recording : recordings) names.push_back(recording.arm);
  const Case recorded = select_arms(c, names);  // a run that was cut off may lack some

  ReportRecord record;
  record.case_name = c.name;
  record.is_complete = manifest.has_value();
  record.verdicts = judge_case(recorded, recordings);
  add_steps(record, recorded, recordings);
  for (const ArmRecording& recording : recordings) {
    record.arms.push_back(cost_of(c.arm(recording.arm), recording, manifest));
  }
  if (manifest) {
    record.command = manifest->command;
    record.environment = manifest->environment;
    record.golden = golden_lines(*manifest);
    record.operators = manifest->operators;
  }
  record.headline = headline_of(record, recordings.front());
  record.holds = !record.headline.starts_with("FAILED");
  return record;
}

ReportRecord record_from_folder(const std::filesystem::path& run_folder) {
  const Case c = case_of_run(run_folder);
  std::vector<ArmRecording> recordings;
  for (const Arm& arm : c.arms) {
    const std::filesystem::path folder = run_folder / arm.name;
    if (std::filesystem::exists(folder / "rank-0.jsonl")) recordings.push_back(read_arm(folder));
  }
  if (recordings.empty()) {
    throw InputError(run_folder.string(), "no recorded arm", "the folder of a run");
  }
  return record_from(c, recordings, read_manifest(run_folder));
}

}  // namespace samebits
