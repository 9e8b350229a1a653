#include "harness/report/tables.h"

#include <algorithm>
#include <cstdio>

#include "harness/report/curve.h"

namespace samebits {
namespace {

// The phases of all arms, in the order in which they were first met.
std::vector<std::string> phases_of(const ReportRecord& record) {
  std::vector<std::string> phases;
  for (const ReportRecord::ArmRecord& arm : record.arms) {
    for (const ReportRecord::PhaseTotal& phase : arm.phases) {
      if (std::find(phases.begin(), phases.end(), phase.phase) == phases.end()) {
        phases.push_back(phase.phase);
      }
    }
  }
  return phases;
}

const ReportRecord::PhaseTotal* find_phase(const ReportRecord::ArmRecord& arm,
                                           const std::string& name) {
  for (const ReportRecord::PhaseTotal& phase : arm.phases) {
    if (phase.phase == name) return &phase;
  }
  return nullptr;
}

std::string range_text(const ReportRecord::Spread& spread) {
  return time_text(spread.median) + " (" + time_text(spread.low) + " to " + time_text(spread.high) +
         ")";
}

std::string number_text(size_t index) { return "[" + std::to_string(index + 1) + "]"; }

std::string column_title(const Relation& relation, size_t index) {
  const std::string number = number_text(index) + " ";
  if (relation.holds == Holds::kMustDiverge) return number + relation.arms.back();
  return number + to_string(relation.holds);
}

std::string arms_text(const Relation& relation) {
  std::string text;
  const char* between = relation.holds == Holds::kBitExact      ? " = "
                        : relation.holds == Holds::kMustDiverge ? " != "
                                                                : " ~ ";
  for (const std::string& arm : relation.arms) {
    if (!text.empty()) text += between;
    text += arm;
  }
  return text;
}

}  // namespace

Table step_table(const ReportRecord& record) {
  Table table;
  table.columns.push_back({"step", true});
  for (const ReportRecord::Metric& metric : record.metrics) {
    table.columns.push_back({metric.title, true});
  }
  table.columns.push_back({"tokens", true});
  const bool is_judged = std::any_of(record.steps.begin(), record.steps.end(),
                                     [](const auto& step) { return !step.on_policy.empty(); });
  if (is_judged) table.columns.push_back({"on policy", false});
  for (size_t i = 0; i < record.verdicts.size(); ++i) {
    table.columns.push_back({column_title(record.verdicts[i].relation, i), false});
  }
  for (const ReportRecord::Step& step : record.steps) {
    std::vector<std::string> row = {std::to_string(step.step)};
    row.insert(row.end(), step.values.begin(), step.values.end());
    row.push_back(std::to_string(step.tokens));
    if (is_judged) row.push_back(step.on_policy);
    for (const ReportRecord::Cell& cell : step.cells) row.push_back(cell.text);
    table.rows.push_back(std::move(row));
  }
  return table;
}

Table loss_table(const ReportRecord& record) {
  Table table{{{"step", true}}, {}};
  for (const ReportRecord::ArmRecord& arm : record.arms) table.columns.push_back({arm.name, true});
  for (const ReportRecord::Step& step : record.steps) {
    const auto has_loss = [](const std::string& loss) { return !loss.empty(); };
    if (step.losses.size() < 2 || std::none_of(step.losses.begin(), step.losses.end(), has_loss)) {
      continue;
    }
    std::vector<std::string> row = {std::to_string(step.step)};
    row.insert(row.end(), step.losses.begin(), step.losses.end());
    table.rows.push_back(std::move(row));
  }
  return table;
}

Table loss_curve_table(const ReportRecord& record) {
  constexpr size_t kMostBars = 60;
  Table table{{{"arms", false}, {"loss by step", false}, {"distance by step", false}, {"", false}},
              {}};
  std::vector<Curve> losses;
  std::vector<Curve> distances;
  for (const ReportRecord::LossSeries& series : record.losses) {
    losses.push_back(thinned(series.values, kMostBars));
    distances.push_back(thinned(powers_of(series.distance), kMostBars));
  }
  const std::optional<CurveRange> of_losses = range_of(losses);
  const std::optional<CurveRange> of_distances = range_of(distances);
  if (record.losses.size() < 2 || !of_losses || !of_distances) return table;
  for (size_t i = 0; i < losses.size(); ++i) {
    const ReportRecord::LossSeries& series = record.losses[i];
    uint64_t farthest = 0;
    for (const std::optional<uint64_t>& ulp : series.distance) {
      farthest = std::max(farthest, ulp.value_or(0));
    }
    table.rows.push_back(
        {list_text(series.arms), sparkline(losses[i], *of_losses),
         i == 0 ? "" : sparkline(distances[i], {0, of_distances->high}),
         i == 0 ? "the others are measured from it" : "at most " + ulp_text(farthest)});
  }
  return table;
}

Table relation_table(const ReportRecord& record) {
  Table table{{{"", false}, {"relation", false}, {"arms", false}, {"", false}}, {}};
  for (size_t i = 0; i < record.verdicts.size(); ++i) {
    const Verdict& verdict = record.verdicts[i];
    table.rows.push_back({number_text(i), to_string(verdict.relation.holds),
                          arms_text(verdict.relation), verdict.holds ? "holds" : "FAILS"});
  }
  const auto has_reason = [](const Verdict& verdict) { return !verdict.relation.reason.empty(); };
  if (std::none_of(record.verdicts.begin(), record.verdicts.end(), has_reason)) return table;
  table.columns.push_back({"reason", false});
  for (size_t i = 0; i < record.verdicts.size(); ++i) {
    table.rows[i].push_back(record.verdicts[i].relation.reason);
  }
  return table;
}

Table time_table(const ReportRecord& record) {
  Table table{{{"arm", false}, {"mode", false}, {"wall", true}, {"processor", true}}, {}};
  const std::vector<std::string> phases = phases_of(record);
  for (const std::string& phase : phases) {
    table.columns.push_back({phase, true});
    table.columns.push_back({"share", true});
  }
  for (const ReportRecord::ArmRecord& arm : record.arms) {
    std::vector<std::string> row = {arm.name, arm.mode, seconds_text(arm.wall_seconds),
                                    seconds_text(arm.processor_seconds)};
    for (const std::string& name : phases) {
      const ReportRecord::PhaseTotal* phase = find_phase(arm, name);
      row.push_back(phase == nullptr ? "-" : seconds_text(phase->seconds));
      row.push_back(phase == nullptr ? "" : percent_text(phase->share));
    }
    table.rows.push_back(std::move(row));
  }
  return table;
}

Table pace_table(const ReportRecord& record) {
  Table table{{{"arm", false},
               {"steps", true},
               {"a step", true},
               {"deviation", true},
               {"factor", true},
               {"95 % interval", true},
               {"", false}},
              {}};
  const auto number = [](double value) {
    char text[32];
    std::snprintf(text, sizeof text, "%.2f", value);
    return std::string(text);
  };
  for (const ReportRecord::ArmRecord& arm : record.arms) {
    if (arm.pace.steps < 2) continue;
    const PaceChange& change = arm.change;
    table.rows.push_back(
        {arm.name, std::to_string(arm.pace.steps), seconds_text(arm.pace.mean),
         seconds_text(arm.pace.deviation), change.is_known ? number(change.factor) : "",
         change.is_known ? number(change.low) + " to " + number(change.high) : "", change.text()});
  }
  return table;
}

Table looking_table(const ReportRecord& record) {
  Table table{{{"arm", false},
               {"level", false},
               {"observations a step", true},
               {"a step, wall", true},
               {"a step, processor", true},
               {"share", true},
               {"memory", true}},
              {}};
  for (const ReportRecord::ArmRecord& arm : record.arms) {
    if (!arm.looking) continue;
    const ReportRecord::Looking& looking = *arm.looking;
    table.rows.push_back({arm.name, to_string(looking.level), std::to_string(looking.observations),
                          range_text(looking.wall), range_text(looking.processor),
                          percent_text(looking.share), bytes_text(looking.peak_bytes)});
  }
  return table;
}

Table fair_time_table(const ReportRecord& record) {
  Table table{{{"arm", false},
               {"rounds", true},
               {"a step, processor", true},
               {"a step, wall", true},
               {"factor", true},
               {"95 % interval", true},
               {"", false}},
              {}};
  const auto number = [](double value) {
    char text[32];
    std::snprintf(text, sizeof text, "%.3f", value);
    return std::string(text);
  };
  for (const ReportRecord::FairTime& time : record.fair_times) {
    const PaceChange& change = time.change;
    const std::string clock = time.is_by_processor ? " (processor)" : " (wall)";
    const bool is_first = &time == &record.fair_times.front();
    table.rows.push_back({time.arm, std::to_string(time.rounds), range_text(time.processor),
                          range_text(time.wall), change.is_known ? number(change.factor) : "",
                          change.is_known ? number(change.low) + " to " + number(change.high) : "",
                          is_first          ? ""
                          : change.is_known ? change.text() + clock
                                            : "three rounds or more say it"});
  }
  return table;
}

Table on_policy_table(const ReportRecord& record) {
  Table table{{{"arm", false},
               {"generator", false},
               {"trainer", false},
               {"must hold", false},
               {"", false},
               {"tokens", true},
               {"differ", true},
               {"largest gap", false},
               {"weight sync", false}},
              {}};
  for (const ReportRecord::ArmRecord& arm : record.arms) {
    if (!arm.on_policy) continue;
    const OnPolicy& on_policy = *arm.on_policy;
    const bool is_judged = on_policy.rule.holds != Holds::kNothing;
    table.rows.push_back(
        {arm.name, arm.generator, arm.trainer,
         is_judged ? to_string(on_policy.rule.holds) : "nothing: " + on_policy.rule.reason,
         !is_judged        ? ""
         : on_policy.holds ? "holds"
                           : "FAILS",
         std::to_string(on_policy.tokens()), std::to_string(on_policy.different()),
         on_policy.different() > 0            ? ulp_text(on_policy.comparison.max_logprob_ulp)
         : on_policy.comparison.nonfinite > 0 ? "NaN or infinite on both sides"
                                              : "none",
         arm.sync});
  }
  return table;
}

Table memory_table(const ReportRecord& record) {
  Table table{{{"arm", false}}, {}};
  const std::vector<std::string> phases = phases_of(record);
  for (const std::string& phase : phases) table.columns.push_back({phase + " peak", true});
  for (const ReportRecord::ArmRecord& arm : record.arms) {
    std::vector<std::string> row = {arm.name};
    bool is_measured = false;
    for (const std::string& name : phases) {
      const ReportRecord::PhaseTotal* phase = find_phase(arm, name);
      const bool has_peak = phase != nullptr && phase->peak_bytes > 0;
      row.push_back(has_peak ? bytes_text(phase->peak_bytes) : "-");
      is_measured = is_measured || has_peak;
    }
    if (is_measured) table.rows.push_back(std::move(row));
  }
  return table;
}

Table sample_table(const ReportRecord& record) {
  Table table{{{"arm", false}, {"completion", false}}, {}};
  for (const ReportRecord::ArmRecord& arm : record.arms) {
    if (!arm.completion.empty()) table.rows.push_back({arm.name, arm.completion});
  }
  return table;
}

Table setup_table(const ReportRecord& record) {
  Table table{{{"", false}, {"", false}}, {}};
  for (const Manifest::ModelEntry& model : record.models) {
    table.rows.push_back({"model", model.name + ": " + count_text(model.parameters) +
                                       " parameters, " + std::to_string(model.layers) +
                                       " layers of width " + std::to_string(model.hidden_size)});
  }
  table.rows.push_back({"workload", record.workload});
  if (!record.numerics.empty()) table.rows.push_back({"numerics", record.numerics});
  if (!record.device.empty()) table.rows.push_back({"device", record.device});
  return table;
}

Table witness_table(const ReportRecord& record) {
  Table table{{{"arm", false}, {"witness", false}, {"count", true}, {"a step", true}}, {}};
  for (const ReportRecord::ArmRecord& arm : record.arms) {
    for (const auto& [name, count] : arm.witness) {
      const double a_step = arm.steps == 0 ? 0 : static_cast<double>(count) / arm.steps;
      char text[32];
      std::snprintf(text, sizeof text, "%.1f", a_step);
      table.rows.push_back({arm.name, name, std::to_string(count), text});
    }
    for (const int64_t step : arm.resumed_at) {
      table.rows.push_back(
          {arm.name, "went on from a checkpoint at step", std::to_string(step), ""});
    }
    if (!arm.evidence.witness.empty()) {
      table.rows.push_back({arm.name, "FAILS: " + arm.evidence.witness, "", ""});
    }
  }
  return table;
}

Table guard_table(const ReportRecord& record) {
  Table table{{{"arm", false},
               {"guard", false},
               {"asked at", false},
               {"checked", true},
               {"false", true},
               {"first false at", false}},
              {}};
  for (const ReportRecord::ArmRecord& arm : record.arms) {
    for (const GuardRecord& guard : arm.guards) {
      int64_t times = 0;
      for (const GuardRecord::FalseAt& each : guard.false_at) times += each.times;
      table.rows.push_back({arm.name, guard.guard, guard.asked_at, std::to_string(guard.checked),
                            std::to_string(times),
                            guard.false_at.empty() ? "" : guard.false_at.front().sizes});
    }
  }
  return table;
}

Table golden_table(const ReportRecord& record) {
  Table table{{{"arm", false}, {"golden", false}}, {}};
  for (const GoldenCheck& check : record.golden) table.rows.push_back({check.arm, check.text});
  return table;
}

Table environment_table(const ReportRecord& record) {
  Table table{{{"environment", false}, {"", false}}, {}};
  for (const auto& [key, value] : record.environment) table.rows.push_back({key, value});
  return table;
}

}  // namespace samebits
