#include "harness/report/record.h"

#include <algorithm>
#include <charconv>
#include <cstdio>

#include "harness/base/error.h"
#include "harness/case/case_relation.h"
#include "harness/compare/common_precision.h"
#include "harness/observe/run_files.h"
#include "harness/observe/run_folder.h"
#include "harness/report/record_parts.h"

namespace samebits {
namespace {

std::string program_text(const ProgramSettings& program) {
  if (!program.recorded.empty()) return "recorded in " + program.recorded.string();
  std::string text = "another program:";
  for (const std::string& each : program.command) text += " " + each;
  return text;
}

std::string workload_text(const CaseArm& arm) {
  if (arm.is_program()) return program_text(arm.program);
  const WorkloadSettings& workload = arm.workload;
  if (!is_generated(workload.kind)) {
    return to_string(workload.kind) + ", " + std::to_string(workload.sequences) +
           " sequences a step of " + workload.tokens.filename().string();
  }
  return to_string(workload.kind) + ", " + std::to_string(workload.prompts.size()) + " prompts, " +
         std::to_string(workload.group) + " samples each of at most " +
         std::to_string(workload.max_new_tokens) + " tokens, temperature " +
         shortest_text(workload.temperature) + ", seed " + std::to_string(arm.seed) +
         (workload.rollouts.empty() ? ""
                                    : ", rollouts of " + workload.rollouts.filename().string());
}

std::string numerics_text(const NumericsSettings& numerics) {
  std::string text = numerics.platform + ", " + std::string(dtype_name(numerics.dtype)) + ", " +
                     to_string(numerics.attention) + " attention";
  if (numerics.batch_invariant) text += ", batch-invariant";
  if (numerics.tp_invariant) text += ", TP-invariant";
  if (numerics.fused_rounding) text += ", rounded where a fusing compiler would";
  if (numerics.float32_head) text += ", logits in float32";
  return text;
}

std::string load_text(const Manifest& manifest) {
  if (manifest.load_before == 0 && manifest.load_after == 0) return "";
  char text[160];
  std::snprintf(text, sizeof text, "Load average %.1f before and %.1f after the arms ran",
                manifest.load_before, manifest.load_after);
  int64_t cores = 0;
  for (const auto& [key, value] : manifest.environment) {
    if (key == "cores") std::from_chars(value.data(), value.data() + value.size(), cores);
  }
  std::string sentence = text;
  if (cores > 0) sentence += ", on " + std::to_string(cores) + " cores";
  // Nothing of ours ran yet when the first was read.
  const bool was_busy = cores > 0 && manifest.load_before > 0.5 * static_cast<double>(cores);
  return sentence + (was_busy ? ": the machine was busy, and wall times say little." : ".");
}

// What would be green all the same.
std::vector<std::string> blind_spots_of(const ReportRecord& record,
                                        const std::vector<ArmRecording>& recordings) {
  std::vector<std::string> spots;
  const std::vector<Observation>& seen = recordings.front().ranks.front().observations;
  const bool has_operators = std::any_of(seen.begin(), seen.end(), [](const Observation& each) {
    return is_operator_site(each.site);
  });
  if (!has_operators) {
    spots.emplace_back(
        "Level step: the verdict is not sensitive to an operator's output that moves no loss, "
        "reward, token, logprob, norm or weight. --level op compares every operator.");
  }
  for (const Verdict& verdict : record.verdicts) {
    for (const Verdict::Pair& pair : verdict.pairs) {
      if (has_operators && !pair.compares_operators) {
        spots.push_back("Operators of " + pair.a + " and " + pair.b +
                        " were not compared: the arms cut the work differently.");
      }
      if (pair.comparison.unknown > 0) {
        spots.push_back(std::to_string(pair.comparison.unknown) + " tensors of " + pair.a +
                        " and " + pair.b + " differ in their digests and were not compared.");
      }
    }
  }
  for (const ReportRecord::ArmRecord& arm : record.arms) {
    for (const RepeatedStep& each : arm.repeats) {
      if (each.is_fault) continue;
      spots.push_back(
          arm.name + ": " + each.text() +
          (each.accepted.empty() ? "." : ", as the case has it: " + each.accepted + "."));
    }
  }
  for (const GoldenCheck& check : record.golden) {
    if (check.is_skipped()) spots.push_back(check.arm + " was " + check.text + ".");
  }
  return spots;
}

void add_blind_spots_of_programs(std::vector<std::string>& spots, const Case& c) {
  for (const CaseArm& arm : c.arms) {
    if (!arm.is_program()) continue;
    spots.push_back(arm.name +
                    " is another program: nothing proves in which mode it ran, and what it did not "
                    "observe was not compared.");
    if (arm.program.recorded.empty() && arm.program.repeat == 1) {
      spots.push_back(arm.name + " ran once: that it gives the same bits again was not tried.");
    }
  }
}

// What was read from logs.
void add_blind_spots_of_logs(std::vector<std::string>& spots,
                             const std::vector<ArmRecording>& recordings) {
  for (const ArmRecording& recording : recordings) {
    if (!recording.log) continue;
    const LogSource& log = *recording.log;
    std::string text = recording.arm + " was read from " + log.file + " (" + log.format +
                       "), which holds its values " + precision_text(recording, recording) + ".";
    if (!log.unread.empty()) text += " Not read: " + list_text(log.unread) + ".";
    if (!log.drops.empty()) text += " " + log.drops + ".";
    spots.push_back(text);
  }
}

// Whether an arm's own two sides were compared.
bool has_policy(const std::vector<ReportRecord::ArmRecord>& arms) {
  return std::any_of(arms.begin(), arms.end(), [](const ReportRecord::ArmRecord& arm) {
    return arm.on_policy && arm.on_policy->rule.holds != Holds::kNothing &&
           arm.on_policy->tokens() > 0;
  });
}

bool has_equal_golden(const std::vector<GoldenCheck>& checks) {
  return std::any_of(checks.begin(), checks.end(), [](const GoldenCheck& check) {
    return check.status == GoldenCheck::Status::kEqual ||
           check.status == GoldenCheck::Status::kFewerSteps;
  });
}

// An arm that is gone would take what is said of it along.
std::string missing_arm(const Case& c, const std::vector<ArmRecording>& recordings) {
  for (const CaseArm& arm : c.arms) {
    const bool is_there =
        std::any_of(recordings.begin(), recordings.end(),
                    [&](const ArmRecording& each) { return each.arm == arm.name; });
    if (!is_there) return arm.name + " was recorded and is gone";
  }
  return "";
}

// The commit that an arm was run of; "" where it was of none, or the run was cut off.
std::string commit_of(const std::optional<Manifest>& manifest, const std::string& arm) {
  if (!manifest) return "";
  for (const Manifest::ArmEntry& each : manifest->arms) {
    if (each.name == arm) return each.commit;
  }
  return "";
}

// The manifest's word for the goldens is replaced by what they say today; where they are gone,
// there are none. One from before the folder was named keeps its word.
void check_goldens_again(Manifest& manifest, const Case& c,
                         const std::vector<ArmRecording>& recordings) {
  if (manifest.golden_folder.empty()) return;
  std::vector<Golden> goldens;
  if (std::filesystem::is_directory(manifest.golden_folder)) {
    goldens = read_goldens(manifest.golden_folder, c.name);
  }
  manifest.golden = check_goldens(goldens, c, recordings);
}

}  // namespace

ReportRecord record_from(const RecordedRun& run) {
  const Case& c = run.settings;
  const std::vector<ArmRecording>& recordings = run.recordings;
  const std::optional<Manifest>& manifest = run.manifest;
  if (recordings.empty()) throw InputError("case " + c.name, "no recorded arm", "at least one");
  std::vector<std::string> names;
  for (const ArmRecording& recording : recordings) names.push_back(recording.arm);
  const Case recorded = select_arms(c, names);  // a run that was cut off may lack some

  ReportRecord record;
  record.case_name = c.name;
  record.folder = run.folder;
  record.is_complete = manifest.has_value();
  const CaseArm& first = c.arm(recordings.front().arm);
  record.workload = workload_text(first);
  if (!first.is_program()) {
    record.numerics = numerics_text(first.numerics);
    record.device = to_string(first.device);
  }
  record.verdicts = judge_case(recorded, recordings);
  for (const ArmRecording& recording : recordings) {
    record.arms.push_back(arm_record(c.arm(recording.arm), recording));
    const std::string commit = commit_of(manifest, recording.arm);
    if (!commit.empty()) record.arms.back().mode += ", commit " + commit;
    if (record.arms.size() == 1) continue;  // the one that the others are shown against
    record.arms.back().change = change_of(record.arms.front().pace, record.arms.back().pace);
  }
  add_steps(record, recordings);
  record.fair_times = fair_times_of(recorded, run.times);
  record.planted = run.planted;
  if (manifest) {
    record.command = manifest->command;
    record.environment = manifest->environment;
    record.models = manifest->models;
    record.load = load_text(*manifest);
    const JsonReader golden(manifest->golden, "manifest.json", "golden");
    for (const JsonReader& each : golden.array()) {
      record.golden.push_back(golden_check_from_json(each));
    }
  }
  record.has_comparison =
      !record.verdicts.empty() || has_equal_golden(record.golden) || has_policy(record.arms);
  record.blind_spots = blind_spots_of(record, recordings);
  add_blind_spots_of_programs(record.blind_spots, recorded);
  add_blind_spots_of_logs(record.blind_spots, recordings);
  record.unexercised = unexercised_by(c, recordings);
  record.failures = failures_of(record, run);
  record.holds = record.failures.empty();
  record.headline = headline_of(record, recordings.front());
  return record;
}

RecordedRun read_run(const std::filesystem::path& run_folder) {
  RecordedRun run;
  run.settings = case_of_run(run_folder);
  run.folder = run_folder;
  const Case& c = run.settings;
  std::vector<ArmRecording>& recordings = run.recordings;
  for (const CaseArm& arm : c.arms) {
    const std::filesystem::path folder = run_folder / arm.name;
    if (std::filesystem::exists(run_files::stream(folder, 0))) {
      recordings.push_back(read_arm(folder));
    }
  }
  if (recordings.empty()) {
    throw InputError(run_folder.string(), "no recorded arm", "the folder of a run");
  }
  run.times = read_times(run_folder);
  run.planted = read_planted(run_folder);
  run.manifest = read_manifest(run_folder);
  if (run.manifest) {
    run.damage = damage_of_case(run_folder, *run.manifest);
    if (run.damage.empty()) run.damage = missing_arm(c, recordings);
    check_markers(recordings, *run.manifest);
    check_goldens_again(*run.manifest, c, recordings);
  }
  return run;
}

ReportRecord record_from_folder(const std::filesystem::path& run_folder) {
  return record_from(read_run(run_folder));
}

}  // namespace samebits
