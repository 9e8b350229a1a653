#include "harness/observe/arm_recording.h"

#include <algorithm>

#include "harness/base/error.h"
#include "harness/base/json.h"
#include "harness/observe/guard_file.h"
#include "harness/observe/kept_file.h"
#include "harness/observe/recorder_file.h"
#include "harness/observe/run_files.h"

namespace samebits {
namespace {

namespace fs = std::filesystem;

std::string name_of(const fs::path& folder) {
  return (folder.has_filename() ? folder : folder.parent_path()).filename().string();
}

// What is wrong with one file that the marker names; "" for nothing.
std::string damage_of_file(const fs::path& file, const std::string& digest) {
  const std::string name = file.filename().string();
  if (!fs::exists(file)) return name + " is gone";
  if (run_files::digest_of_file(file) == digest) return "";
  return name + " is not the file that the run wrote";
}

// Ranks behind one that is missing would not be read.
void check_ranks(const fs::path& arm_folder, size_t read) {
  size_t found = 0;
  for (const fs::directory_entry& entry : fs::directory_iterator(arm_folder)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("rank-") && name.ends_with(".jsonl")) ++found;
  }
  if (found == read) return;
  throw InputError(
      arm_folder.string(),
      std::to_string(found) + " streams of ranks, but no " +
          run_files::stream(arm_folder, static_cast<int64_t>(read)).filename().string(),
      "one of each rank from 0 on");
}

}  // namespace

bool ArmRecording::has_torn_line() const {
  return std::any_of(ranks.begin(), ranks.end(),
                     [](const StreamContents& rank) { return rank.torn_bytes > 0; });
}

std::string damage_of_arm(const fs::path& arm_folder) {
  const fs::path marker = arm_folder / run_files::kFinished;
  if (!fs::exists(marker)) return "";
  const Json parsed = read_json_file(marker);
  const JsonReader json(parsed, marker.string());
  json.object({"arm", "observations", "files"});
  if (!json.optional("files")) {
    return "its finished.json names no files (an earlier version of samebits recorded it)";
  }
  const std::string arm = json.required("arm").string();
  // In a run the folder's name says which arm it is; another folder may be called anything.
  if (arm != name_of(arm_folder) && !has_recorder(arm_folder))
    return "its files were recorded as arm " + quoted(arm);
  const JsonReader files = json.required("files");
  const std::vector<std::string> vouched = files.keys();
  for (const std::string& name : vouched) {
    if (fs::path(name).filename() != name) files.fail(quoted(name), "the name of a file");
    const std::string damage = damage_of_file(arm_folder / name, files.required(name).string());
    if (!damage.empty()) return damage;
  }
  for (const char* name : {"rank-0.jsonl", run_files::kSteps}) {
    if (std::find(vouched.begin(), vouched.end(), name) == vouched.end()) {
      return std::string("its finished.json does not name ") + name;
    }
  }
  for (const std::string& name : run_files::of_arm(arm_folder)) {
    if (std::find(vouched.begin(), vouched.end(), name) == vouched.end()) {
      return name + " is not of the run";
    }
  }
  return "";
}

ArmRecording read_arm(const fs::path& arm_folder) {
  ArmRecording recording;
  recording.folder = arm_folder;
  recording.arm = name_of(arm_folder);
  if (!fs::exists(run_files::stream(arm_folder, 0))) {
    throw InputError(arm_folder.string(), "no rank-0.jsonl", "the folder of a recorded arm");
  }
  for (int64_t rank = 0; fs::exists(run_files::stream(arm_folder, rank)); ++rank) {
    recording.ranks.push_back(read_stream(run_files::stream(arm_folder, rank)));
  }
  check_ranks(arm_folder, recording.ranks.size());
  recording.steps = read_step_records(arm_folder / run_files::kSteps);
  for (int64_t rank = 1; rank < static_cast<int64_t>(recording.ranks.size()); ++rank) {
    recording.steps_of_others.push_back(read_step_records(run_files::steps(arm_folder, rank)));
  }
  for (int64_t run = 1; fs::exists(run_files::repeat(arm_folder, run, 0)); ++run) {
    std::vector<StreamContents>& ranks = recording.repeats.emplace_back();
    for (int64_t rank = 0; fs::exists(run_files::repeat(arm_folder, run, rank)); ++rank) {
      ranks.push_back(read_stream(run_files::repeat(arm_folder, run, rank)));
    }
  }
  recording.log = read_log_source(arm_folder);
  recording.guards = read_guards(arm_folder / run_files::kGuards);
  recording.finished = fs::exists(arm_folder / run_files::kFinished);
  recording.ends_with_marker =
      fs::exists(fs::absolute(arm_folder / "..") / run_files::kCase) || has_recorder(arm_folder);
  recording.damage = damage_of_arm(arm_folder);
  const std::string unlike = attach_kept(recording);
  if (recording.damage.empty()) recording.damage = unlike;
  return recording;
}

const ArmRecording& recording_of(const std::vector<ArmRecording>& recordings,
                                 const std::string& arm) {
  for (const ArmRecording& recording : recordings) {
    if (recording.arm == arm) return recording;
  }
  throw InputError("arm " + arm, "no recorded stream", "a run of it");
}

void check_markers(std::vector<ArmRecording>& recordings, const Manifest& manifest) {
  for (ArmRecording& recording : recordings) {
    for (const Manifest::ArmEntry& entry : manifest.arms) {
      const bool is_vouched = entry.name == recording.arm && !entry.marker.empty();
      if (!is_vouched || !recording.damage.empty()) continue;
      const fs::path marker = recording.folder / run_files::kFinished;
      if (!recording.finished) {
        recording.damage = "finished.json is gone";
      } else if (run_files::digest_of_file(marker) != entry.marker) {
        recording.damage = "finished.json is not the file that the run wrote";
      }
    }
  }
}

ArmRecording read_whole_arm(const fs::path& arm_folder) {
  ArmRecording recording = read_arm(arm_folder);
  if (!recording.damage.empty()) {
    throw InputError(arm_folder.string(), recording.damage, "what the run recorded");
  }
  return recording;
}

}  // namespace samebits
