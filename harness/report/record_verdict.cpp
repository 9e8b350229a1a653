#include <algorithm>
#include <map>
#include <set>

#include "harness/case/setting_differences.h"
#include "harness/compare/sources.h"
#include "harness/report/record_parts.h"

namespace samebits {
namespace {

using Failure = ReportRecord::Failure;

// What a closer look found of a pair, or of one arm.
const Manifest::Closer* closer_look(const std::optional<Manifest>& manifest, const std::string& a,
                                    const std::string& b) {
  if (!manifest) return nullptr;
  for (const Manifest::Closer& each : manifest->closer) {
    if (each.a == a && each.b == b) return &each;
  }
  return nullptr;
}

std::string run_name(const ReportRecord& record) {
  return record.folder.empty() ? "RUN" : record.folder.string();
}

// What a person may do about a failure of these arms.
void add_next(Failure& failure, const ReportRecord& record,
              const std::vector<const CaseArm*>& arms) {
  failure.next.push_back("samebits report " + run_name(record));
  const auto is_loop = [](const CaseArm* arm) { return arm->workload.kind == WorkloadKind::kGrpo; };
  const auto is_ours = [](const CaseArm* arm) { return !arm->is_program(); };
  if (std::all_of(arms.begin(), arms.end(), is_loop)) {
    failure.next.push_back("samebits blame " + run_name(record));
  }
  if (std::all_of(arms.begin(), arms.end(), is_ours)) {
    failure.next.push_back("samebits reduce " + run_name(record));
  }
}

std::string counts_text(const PairComparison& comparison) {
  std::string text = std::to_string(comparison.different) + " of " +
                     std::to_string(comparison.compared) + " observations differ";
  if (comparison.only_a > 0)
    text += ", " + std::to_string(comparison.only_a) + " only in the first";
  if (comparison.only_b > 0) {
    text += ", " + std::to_string(comparison.only_b) + " only in the second";
  }
  return text;
}

void add_sources(Failure& failure, const Verdict::Pair& pair, const Divergence& divergence,
                 const RecordedRun& run) {
  const std::string sources = sources_of(recording_of(run.recordings, pair.a).folder,
                                         recording_of(run.recordings, pair.b).folder, divergence);
  if (!sources.empty()) failure.facts.emplace_back("in the program", sources);
}

// "numerics.dtype: \"bfloat16\" against \"float32\"; ..."
std::string settings_that_differ(const CaseArm& a, const CaseArm& b) {
  std::string text;
  for (const JsonDifference& each : setting_differences(a, b)) {
    text += (text.empty() ? "" : "; ") + each.key + ": " + each.first + " against " + each.second;
  }
  return text.empty() ? "none that differ" : text;
}

// A pair that a relation does not hold of.
Failure failure_of_pair(const ReportRecord& record, const Verdict& verdict,
                        const Verdict::Pair& pair, const RecordedRun& run) {
  const PairComparison& comparison = pair.comparison;
  Failure failure;
  if (comparison.compared == 0) {
    failure.title = pair.a + " and " + pair.b + " have no observation in common";
  } else if (!pair.has_all_ranks) {
    failure.title = pair.a + " and " + pair.b + " have streams of unequal numbers of ranks";
    failure.facts.emplace_back("meaning", "nothing answers to those that only one of them has");
  } else if (verdict.relation.holds == Holds::kMustDiverge) {
    failure.title = pair.b + " was to differ from " + pair.a + " and does not";
    failure.facts.emplace_back("compared", counts_text(comparison));
  } else if (comparison.first) {
    failure.title = pair.a + " and " + pair.b + " diverge";
    failure.facts.emplace_back("where", comparison.first->place());
    failure.facts.emplace_back("values", comparison.first->values());
    add_sources(failure, pair, *comparison.first, run);
    if (const Divergence* value = comparison.later_value()) {
      failure.facts.emplace_back("first value that differs", value->text());
      add_sources(failure, pair, *value, run);
    }
    failure.facts.emplace_back("compared", counts_text(comparison));
  } else {
    failure.title = pair.a + " and " + pair.b + " agree in nothing: NaN or infinite in both";
    failure.facts.emplace_back("where", place_text(*comparison.first_nonfinite));
  }
  if (const Manifest::Closer* closer = closer_look(run.manifest, pair.a, pair.b)) {
    failure.facts.emplace_back("operator", closer->text);
    failure.facts.insert(failure.facts.end(), closer->facts.begin(), closer->facts.end());
  } else if (!pair.compares_operators) {
    failure.facts.emplace_back("operator", "not compared: the arms cut the work differently");
  }
  if (verdict.relation.holds != Holds::kMustDiverge) {
    failure.facts.emplace_back(
        "settings", settings_that_differ(run.settings.arm(pair.a), run.settings.arm(pair.b)));
  }
  add_next(failure, record, {&run.settings.arm(pair.a), &run.settings.arm(pair.b)});
  const bool is_program =
      run.settings.arm(pair.a).is_program() || run.settings.arm(pair.b).is_program();
  if (verdict.relation.holds != Holds::kMustDiverge && !is_program) {
    failure.next.push_back("samebits repro new NAME --from " + run_name(record));
  }
  return failure;
}

Failure failure_of_unstable(const std::string& arm, const std::string& seen) {
  return {arm + " parts from itself",
          {{"seen", seen}, {"meaning", "what it is compared with says nothing until it is stable"}},
          {}};
}

void add_unstable(std::vector<Failure>& failures, const std::optional<Manifest>& manifest) {
  if (!manifest) return;
  std::set<std::string> seen;
  for (const Manifest::Closer& closer : manifest->closer) {
    for (const auto& [arm, text] : closer.unstable) {
      if (!seen.insert(arm).second) continue;
      failures.push_back(failure_of_unstable(arm, text));
    }
  }
}

// An arm whose generator and trainer do not say the same, or whose weights did not arrive: one
// block, since the second is why the first happened.
void add_on_policy_failure(std::vector<Failure>& failures, const ReportRecord& record,
                           const ReportRecord::ArmRecord& arm, const CaseArm& settings) {
  // Two NaNs that agree are told as what they are, below.
  const bool is_nan =
      arm.on_policy && !arm.on_policy->comparison.first && !arm.evidence.nonfinite.empty();
  const bool is_off = arm.on_policy && !arm.on_policy->holds && arm.finished && !is_nan;
  if (!is_off && arm.evidence.sync.empty()) return;
  Failure failure;
  if (!is_off) {
    failure.title = "the weight sync of " + arm.name + " is not whole";
  } else if (arm.on_policy->rule.holds == Holds::kMustDiverge) {
    failure.title = arm.name + " was to be off policy and is not: " + arm.on_policy->text();
  } else {
    failure.title = arm.name + " is off policy: " + arm.on_policy->text();
    if (const auto& first = arm.on_policy->comparison.first) {
      failure.facts.emplace_back("where", first->place());
      failure.facts.emplace_back("values", first->values() + " (generator against trainer)");
    }
  }
  const std::string& sync = arm.sync.empty() ? arm.evidence.sync : arm.sync;
  if (!sync.empty()) failure.facts.emplace_back("sync", sync);  // another program has none
  add_next(failure, record, {&settings});
  failures.push_back(std::move(failure));
}

// What a closer look at one arm found.
void add_closer(Failure& failure, const std::optional<Manifest>& manifest, const std::string& arm) {
  const Manifest::Closer* closer = closer_look(manifest, arm, "");
  if (closer == nullptr) return;
  failure.facts.emplace_back("operator", closer->text);
  failure.facts.insert(failure.facts.end(), closer->facts.begin(), closer->facts.end());
}

void add_arm_failures(std::vector<Failure>& failures, const ReportRecord& record,
                      const RecordedRun& run) {
  for (const ReportRecord::ArmRecord& arm : record.arms) {
    if (!arm.finished) {
      failures.push_back({arm.name + " was cut off", {}, {record.command + " --resume"}});
      if (record.command.empty()) failures.back().next = {"samebits run CASE --resume"};
    }
    if (!arm.evidence.damage.empty()) {
      failures.push_back({arm.name + " is no evidence: " + arm.evidence.damage,
                          {},
                          {"samebits run CASE --force --out " + run_name(record)}});
    }
    if (!arm.evidence.witness.empty()) {
      failures.push_back(
          {arm.name + " did not run in its mode", {{"seen", arm.evidence.witness}}, {}});
    }
    if (!arm.evidence.guards.empty()) {
      failures.push_back(
          {arm.name + " did not keep its guards", {{"seen", arm.evidence.guards}}, {}});
    }
    if (!arm.evidence.plant.empty()) {
      failures.push_back({arm.name + " planted nothing", {{"seen", arm.evidence.plant}}, {}});
    }
    if (!arm.evidence.ranks.empty()) {
      failures.push_back(
          {"the ranks of " + arm.name + " do not agree", {{"seen", arm.evidence.ranks}}, {}});
      if (arm.evidence.nonfinite.empty()) add_closer(failures.back(), run.manifest, arm.name);
    }
    if (!arm.evidence.itself.empty()) {
      failures.push_back(failure_of_unstable(arm.name, arm.evidence.itself));
    }
    add_on_policy_failure(failures, record, arm, run.settings.arm(arm.name));
    if (arm.evidence.nonfinite.empty()) continue;
    failures.push_back(
        {arm.name + " has a NaN or an infinity", {{"where", arm.evidence.nonfinite}}, {}});
    add_closer(failures.back(), run.manifest, arm.name);
  }
}

void add_repeats(std::vector<Failure>& failures, const ReportRecord& record) {
  for (const ReportRecord::ArmRecord& arm : record.arms) {
    if (arm.evidence.repeats.empty()) continue;
    failures.push_back(
        {arm.name + " repeats a step",
         {{"seen", arm.evidence.repeats},
          {"meaning", "steps that are copies of each other prove no more than one of them"}},
         {}});
  }
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
  return names.empty() ? "observations" : list_text(names);
}

// "6 of 7 arms equal their goldens (fused was not compared with one: there is none)".
std::string golden_fact(const std::vector<GoldenCheck>& checks) {
  size_t equal = 0;
  std::vector<std::string> skipped;
  std::set<std::string> reasons;
  for (const GoldenCheck& check : checks) {
    if (check.status == GoldenCheck::Status::kEqual) ++equal;
    if (!check.is_skipped()) continue;
    skipped.push_back(check.arm + " was " + check.text);
    reasons.insert(check.text);
  }
  if (checks.size() > 1 && skipped.size() == checks.size() && reasons.size() == 1) {
    return "each arm was " + *reasons.begin();
  }
  const std::string of =
      std::to_string(equal) + " of " + std::to_string(checks.size()) + " arms equal their goldens";
  return skipped.empty() ? of : of + " (" + list_text(skipped) + ")";
}

// One arm in a sentence, several as a list.
std::string unjudged_text(const std::vector<const ReportRecord::ArmRecord*>& arms,
                          const std::string& reason) {
  if (arms.size() == 1) {
    return arms[0]->name + "'s " + arms[0]->on_policy->text() + ", which is not judged: " + reason;
  }
  std::vector<std::string> gaps;
  for (const ReportRecord::ArmRecord* arm : arms) {
    gaps.push_back(arm->name + " (" + std::to_string(arm->on_policy->different()) + ")");
  }
  return "not judged in " + list_text(gaps) + ", with the tokens on which generator and trainer " +
         "differ: " + reason;
}

// What an arm's own two sides say, where they were judged, and where they differ unjudged.
void add_on_policy_facts(std::vector<std::string>& facts,
                         const std::vector<ReportRecord::ArmRecord>& arms) {
  std::vector<std::string> equal;
  std::vector<std::string> others;
  std::map<std::string, std::vector<const ReportRecord::ArmRecord*>> unjudged;  // by reason
  int64_t tokens = 0;
  for (const ReportRecord::ArmRecord& arm : arms) {
    if (!arm.on_policy) continue;
    const OnPolicy& on_policy = *arm.on_policy;
    if (on_policy.different() == 0 && on_policy.rule.holds != Holds::kNothing) {
      equal.push_back(arm.name);
      tokens += on_policy.tokens();
      continue;
    }
    if (on_policy.rule.holds == Holds::kNothing) {
      unjudged[on_policy.rule.reason].push_back(&arm);
      continue;
    }
    const bool is_control = on_policy.rule.holds == Holds::kMustDiverge;
    others.push_back((is_control ? "control " : "") + arm.name + "'s " + on_policy.text());
  }
  for (const auto& [reason, same] : unjudged) others.push_back(unjudged_text(same, reason));
  if (!equal.empty()) {
    facts.push_back("generator and trainer agree to the bit in " + list_text(equal) + " (" +
                    std::to_string(tokens) + " tokens)");
  }
  facts.insert(facts.end(), others.begin(), others.end());
}

std::string fact_of(const Failure& failure, const std::string& name) {
  for (const auto& [key, value] : failure.facts) {
    if (key == name) return value;
  }
  return "";
}

std::vector<std::string> facts_of(const ReportRecord& record, const ArmRecording& first) {
  std::vector<std::string> facts;
  for (const Verdict& verdict : record.verdicts) {
    if (verdict.relation.holds == Holds::kBitExact) {
      facts.push_back("all " + quantities(first) + " of arms " + list_text(verdict.relation.arms) +
                      " are equal " + verdict.equality());
    } else {
      const bool is_control = verdict.relation.holds == Holds::kMustDiverge;
      facts.push_back((is_control ? "control " : "") + verdict.text());
    }
  }
  add_on_policy_facts(facts, record.arms);
  if (!record.golden.empty()) facts.push_back(golden_fact(record.golden));
  if (!record.planted.empty()) facts.push_back(planted_text(record.planted));
  return facts;
}

}  // namespace

std::vector<Failure> failures_of(const ReportRecord& record, const RecordedRun& run) {
  const std::optional<Manifest>& manifest = run.manifest;
  std::vector<Failure> failures;
  if (!run.damage.empty()) failures.push_back({run.damage, {}, {}});
  add_unstable(failures, manifest);
  add_arm_failures(failures, record, run);
  for (const Verdict& verdict : record.verdicts) {
    for (const Verdict::Pair& pair : verdict.pairs) {
      if (!pair.holds) failures.push_back(failure_of_pair(record, verdict, pair, run));
    }
  }
  add_repeats(failures, record);  // often because of what stands above
  for (const GoldenCheck& check : record.golden) {
    if (!check.fails()) continue;
    const bool is_different = check.status == GoldenCheck::Status::kDifferent;
    Failure failure{check.arm + (is_different ? " differs from its golden" : " needs a golden"),
                    {{"seen", check.text}},
                    {}};
    if (is_different && !check.file.empty()) failure.next.push_back("samebits why " + check.file);
    failure.next.push_back("samebits bless " + run_name(record) + " --reason WHY");
    failures.push_back(std::move(failure));
  }
  for (Failure& failure : failures_of_planted(record.planted)) {
    failures.push_back(std::move(failure));
  }
  if (!manifest && failures.empty()) {
    failures.push_back({"the run was cut off: it has no manifest", {}, {}});
  }
  return failures;
}

std::string headline_of(const ReportRecord& record, const ArmRecording& first) {
  std::string text;
  if (record.failures.empty() && !record.has_comparison) {
    return "Recorded. Nothing was compared: no relation ties two of these arms, and no golden was.";
  }
  if (record.failures.empty()) {
    for (const std::string& fact : facts_of(record, first)) {
      text += (text.empty() ? "" : "; ") + fact;
    }
    if (!text.empty() && text[0] >= 'a' && text[0] <= 'z') text[0] += 'A' - 'a';
    return text + ".";
  }
  for (const Failure& failure : record.failures) {
    text += (text.empty() ? "FAILED: " : "; ") + failure.title;
    const std::string where = fact_of(failure, "where");
    if (!where.empty()) text += " (" + where + ")";
    const std::string cause = fact_of(failure, "cause");
    if (!cause.empty()) text += ": " + cause;
  }
  return text + ".";
}

}  // namespace samebits
