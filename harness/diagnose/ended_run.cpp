#include "harness/diagnose/ended_run.h"

#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/base/json_difference.h"
#include "harness/observe/manifest.h"
#include "harness/observe/run_files.h"
#include "harness/run/origin.h"

namespace samebits {
namespace {

Manifest manifest_of(const std::filesystem::path& folder) {
  if (!std::filesystem::exists(folder / run_files::kCase)) {
    throw InputError(folder.string(), "no case.json", "the folder of a run");
  }
  const std::optional<Manifest> manifest = read_manifest(folder);
  if (!manifest) {
    throw InputError(folder.string(), "a run that was cut off, or is still running",
                     "one that has ended: samebits run CASE --resume");
  }
  const std::string damage = damage_of_case(folder, *manifest);
  if (!damage.empty()) throw InputError(folder.string() + ": " + damage);
  if (manifest->case_file.empty()) {
    throw InputError((folder / run_files::kManifest).string(),
                     "no case_file (an earlier version of samebits recorded it)",
                     "a run of this version");
  }
  return *manifest;
}

// What is read from files now, where another file would be another run. Another program may well
// reproduce a failure.
void check_inputs(const EndedRun& run) {
  const Json now = origin_of(run.settings, Level::kStep);
  for (const char* key : {"models", "graphs", "tokens", "rollouts", "packages", "programs"}) {
    const Json before = run.origin.value(key, Json::object());
    const auto difference = first_difference(before, now.at(key));
    if (!difference) continue;
    throw InputError(
        (run.folder / run_files::kOrigin).string() + ": " + key + "." + difference->key,
        difference->second + ", which is there now", difference->first + ", which was run");
  }
}

}  // namespace

EndedRun open_ended_run(const std::filesystem::path& folder) {
  const Manifest manifest = manifest_of(folder);
  EndedRun run;
  run.folder = folder;
  run.settings =
      parse_case(read_text_file((folder / run_files::kCase).string()), manifest.case_file);
  for (const CaseArm& arm : run.settings.arms) {
    run.recordings.push_back(read_whole_arm(folder / arm.name));
  }
  check_markers(run.recordings, manifest);
  for (const ArmRecording& each : run.recordings) {
    if (!each.damage.empty()) throw InputError(each.folder.string() + ": " + each.damage);
  }
  run.origin = read_json_file(folder / run_files::kOrigin);
  check_inputs(run);
  return run;
}

}  // namespace samebits
