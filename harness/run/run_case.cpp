#include "harness/run/run_case.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <set>

#include "harness/base/environment.h"
#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/base/text.h"
#include "harness/compare/golden.h"
#include "harness/compare/site_map.h"
#include "harness/kernels/device.h"
#include "harness/model/architecture.h"
#include "harness/model/config.h"
#include "harness/observe/run_files.h"
#include "harness/observe/run_folder.h"
#include "harness/report/writers.h"
#include "harness/run/checkouts.h"
#include "harness/run/localise.h"
#include "harness/run/origin.h"
#include "harness/run/program_arm.h"
#include "harness/run/run_arm.h"
#include "harness/run/time_arms.h"
#include "harness/workload/workload.h"

namespace samebits {
namespace {

RunFolder open_folder(const Case& c, const RunOptions& options, const Json& origin) {
  switch (options.existing) {
    case Existing::kResume:
      return RunFolder::resume(options.out, c, origin);
    case Existing::kReplace:
      return RunFolder::replace(options.out, c, origin);
    case Existing::kRefuse:
      break;
  }
  return RunFolder::create(options.out, c, origin);
}

// What the manifest says of an arm, from its folder alone, so that a resumed run says the same of
// the arms that it did not have to run.
Manifest::ArmEntry entry_of(const ArmRecording& recording, const Checkouts& checkouts) {
  Manifest::ArmEntry entry;
  entry.name = recording.arm;
  entry.commit = checkouts.commit(recording.arm);
  entry.finished = recording.finished;
  entry.ranks = static_cast<int64_t>(recording.ranks.size());
  for (const StreamContents& stream : recording.ranks) {
    entry.observations += static_cast<int64_t>(stream.observations.size());
  }
  for (const StepRecord& step : recording.steps) {
    for (const PhaseCost& phase : step.phases) entry.seconds += phase.seconds;
  }
  entry.marker = run_files::digest_of_file(recording.folder / run_files::kFinished);
  return entry;
}

Manifest::ModelEntry model_of(const CaseArm& arm) {
  const DecoderConfig config = decoder_config_from_folder(arm.model);
  Manifest::ModelEntry model;
  model.name = Json::parse(arm.canonical).at("model").get<std::string>();
  model.layers = config.num_hidden_layers;
  model.hidden_size = config.hidden_size;
  for (const auto& [name, shape] : architecture_of(config).weight_shapes(config)) {
    int64_t elements = 1;
    for (const int64_t size : shape) elements *= size;
    model.parameters += elements;
  }
  return model;
}

std::vector<Manifest::ModelEntry> models_of(const Case& c) {
  std::vector<Manifest::ModelEntry> models;
  std::set<std::string> seen;
  for (const CaseArm& arm : c.arms) {
    if (arm.is_program()) continue;
    if (seen.insert(arm.model.string()).second) models.push_back(model_of(arm));
  }
  return models;
}

// Ranks that a launcher started are those of every arm in processes; without one, all of an arm's
// are on this machine.
void check_launched(const Case& c, const std::optional<RankEnvironment>& launched) {
  for (const CaseArm& arm : c.arms) {
    if (!launched && arm.mesh.kind == MeshKind::kNccl && arm.mesh.ranks() > device_count()) {
      throw InputError(fmt::format("arm {}: mesh", arm.name),
                       fmt::format("{} ranks of nccl", arm.mesh.ranks()),
                       fmt::format("at most {}, the cards of this machine", device_count()));
    }
    if (!launched) continue;
    if (!arm.mesh.has_processes() || arm.mesh.ranks() == launched->size) continue;
    throw InputError(
        fmt::format("arm {}: mesh", arm.name),
        fmt::format("{} ranks (tp {}, dp {})", arm.mesh.ranks(), arm.mesh.tp, arm.mesh.dp),
        fmt::format("{}, as many as were launched (--arm selects arms)", launched->size));
  }
}

// Processes that want a core, over the last minute; 0 where the kernel does not tell.
double load_average() {
  double load = 0;
  return getloadavg(&load, 1) == 1 ? load : 0;
}

// A card is part of it where an arm computes on one.
std::vector<std::pair<std::string, std::string>> environment_of(const Case& c) {
  auto environment = environment_report();
  const bool on_card = std::any_of(c.arms.begin(), c.arms.end(), [](const CaseArm& arm) {
    return arm.device == DeviceKind::kCuda;
  });
  if (!on_card) return environment;
  const auto card = device_environment();
  environment.insert(environment.end(), card.begin(), card.end());
  return environment;
}

void check_plant(const Case& c, const PlantOptions& options) {
  const std::vector<CaseArm> arms = arms_to_plant_in(c);
  if (options.is_asked() && arms.empty()) {
    throw InputError("--plant", "no arm of this process that a relation compares with another",
                     "a relation other than must_diverge");
  }
  for (const auto& [name, fault] : options.again) {
    const bool is_there =
        std::any_of(arms.begin(), arms.end(), [&](const CaseArm& arm) { return arm.name == name; });
    if (!is_there) {
      throw InputError("--plant-again", "a fault of arm " + quoted(name),
                       "one of an arm that a relation compares");
    }
  }
}

}  // namespace

ReportRecord run_case(const Case& c, const RunOptions& options, Progress& progress) {
  for (const Relation& relation : c.relations) SiteMap{relation.map};  // a bad one is found now
  for (const CaseArm& arm : c.arms) arm.is_program() ? check_program(arm) : check_arm(arm);
  check_launched(c, options.launched);
  if (options.repeat > 0 && arms_to_time(c).empty()) {
    throw InputError("--repeat", "no arm of this process that has a step after its first",
                     "two steps or more of one: the first is warm-up");
  }
  check_plant(c, options.plant);
  const std::vector<Golden> goldens = read_goldens(options.golden, c.name);
  const Json origin = origin_of(c, options.level);
  Manifest manifest;
  manifest.command = options.command;
  manifest.case_file = std::filesystem::absolute(c.file).string();
  manifest.environment = environment_of(c);
  manifest.settings = Json::parse(canonical_json(c));
  manifest.models = models_of(c);
  manifest.golden_folder = std::filesystem::absolute(options.golden).string();
  manifest.load_before = load_average();

  const std::unique_ptr<RankPool> launched =
      options.launched ? RankPool::meet(*options.launched, c) : nullptr;
  RunFolder folder = open_folder(c, options, origin);
  const Checkouts checkouts(c, options.out, progress);
  const Case placed = checkouts.placed(c);
  for (const CaseArm& arm : placed.arms) {
    if (folder.is_finished(arm.name)) {
      progress.show(arm.name + ": finished before");
      continue;
    }
    run_arm(arm, options.level, *folder.start_arm(arm.name, arm.mesh.processes()), progress,
            launched.get());
  }
  manifest.load_after = load_average();

  RecordedRun run;
  run.settings = c;
  run.folder = options.out;
  std::vector<ArmRecording>& recordings = run.recordings;
  for (const CaseArm& arm : c.arms) recordings.push_back(read_arm(options.out / arm.name));
  // A run that had been finished is evidence: what has changed in it since is told, not vouched
  // for.
  if (const auto before = read_manifest(options.out)) {
    check_markers(recordings, *before);
    for (const Manifest::ArmEntry& arm : before->arms) manifest.arms.push_back(arm);
  } else {
    for (const ArmRecording& each : recordings) manifest.arms.push_back(entry_of(each, checkouts));
  }
  manifest.golden = check_goldens(goldens, c, recordings);
  const std::vector<Verdict> verdicts = judge_case(c, recordings);
  for (const Verdict& verdict : verdicts) manifest.verdicts.push_back(json_from_verdict(verdict));
  manifest.closer =
      look_closer(placed, recordings, verdicts, origin, options.out, progress, launched.get());
  if (options.repeat > 0) {
    run.times = time_arms(c, options.repeat, progress);
    write_times(options.out, run.times);
  } else {
    run.times = read_times(options.out);  // of the run that is taken up
  }
  progress.clear();
  run.manifest = manifest;
  ReportRecord record = record_from(run);
  if (options.plant.is_asked() && record.holds) {
    run.planted = plant_faults(run, options.level, options.plant, progress);
    write_planted(options.out, run.planted);
    progress.clear();
    record = record_from(run);
  }
  write_text_file((options.out / run_files::kReport).string(), markdown_report(record));
  write_text_file((options.out / run_files::kPage).string(),
                  html_report(record, pictures_of(run, record)));
  write_manifest(options.out, manifest);
  return record;
}

}  // namespace samebits
