#include "harness/observe/run_files.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <string_view>

#include "harness/base/error.h"
#include "harness/base/mapped_file.h"
#include "harness/bits/digest.h"

namespace samebits::run_files {
namespace {

namespace fs = std::filesystem;

// "rank-0.jsonl" is "rank-" + digits + ".jsonl".
bool is_numbered(const std::string& name, const std::string& prefix, const std::string& suffix) {
  if (!name.starts_with(prefix) || !name.ends_with(suffix)) return false;
  const std::string number =
      name.substr(prefix.size(), name.size() - prefix.size() - suffix.size());
  return !number.empty() && std::all_of(number.begin(), number.end(),
                                        [](unsigned char c) { return std::isdigit(c) != 0; });
}

constexpr char kCheckpoint[] = "checkpoint-";
constexpr char kTensors[] = ".safetensors";
constexpr char kKept[] = "kept-";
constexpr char kBuild[] = "build-";
constexpr char kText[] = ".txt";

// "repeat-1-rank-0.jsonl"
bool is_repeat(const std::string& name) {
  const size_t dash = name.find("-rank-");
  return dash != std::string::npos && is_numbered(name.substr(0, dash), "repeat-", "") &&
         is_numbered(name.substr(dash), "-rank-", ".jsonl");
}

bool is_file_of_arm(const std::string& name) {
  return name == kSteps || name == kGuards || name == kFinished || name == kLog ||
         is_numbered(name, "steps-", ".jsonl") || is_numbered(name, "rank-", ".jsonl") ||
         is_numbered(name, "graph-", ".json") || is_numbered(name, kCheckpoint, kTensors) ||
         is_numbered(name, "output-", ".txt") || is_repeat(name);
}

// What no marker vouches for.
bool is_beside_streams(const std::string& name) {
  return is_numbered(name, "sites-", ".json") || is_numbered(name, kKept, kTensors);
}

bool is_build_output(const std::string& name) {
  return name.starts_with(kBuild) && name.ends_with(kText);
}

// Where others work while a run runs.
bool is_scratch(const fs::path& folder) {
  return folder.filename() == kProgram || folder.filename() == kCheckouts;
}

bool is_file_of_run(const std::string& name) {
  return name == kLock || name == kOrigin || name == kCase || name == kManifest ||
         name == kReport || name == kPage || name == kTimes || name == kPlanted ||
         name == kDifference || name == kCalls || is_build_output(name);
}

// The files of a folder and its folders, sorted. A link is listed and never followed.
std::vector<fs::path> entries_of(const fs::path& folder) {
  std::vector<fs::path> entries;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    entries.push_back(entry.path());
  }
  std::sort(entries.begin(), entries.end());
  return entries;
}

bool is_folder(const fs::path& path) { return fs::is_directory(fs::symlink_status(path)); }

void require_only_arm_files(const fs::path& folder) {
  for (const fs::path& entry : entries_of(folder)) {
    const std::string name = entry.filename().string();
    if (is_folder(entry) && is_scratch(entry)) continue;
    const bool is_ours = is_file_of_arm(name) || is_beside_streams(name) || is_litter(entry);
    if (!is_folder(entry) && is_ours) continue;
    throw InputError(entry.string(), "what no run writes", "a folder with a run and nothing else");
  }
}

void require_only_a_run(const fs::path& folder) {
  for (const fs::path& entry : entries_of(folder)) {
    const std::string name = entry.filename().string();
    if (is_folder(entry) && is_scratch(entry)) continue;
    if (is_folder(entry)) {
      name.starts_with("op-") && name.find('+') != std::string::npos
          ? require_only_a_run(entry)
          : require_only_arm_files(entry);
    } else if (!is_file_of_run(name) && !is_litter(entry)) {
      throw InputError(entry.string(), "what no run writes",
                       "a folder with a run and nothing else");
    }
  }
}

}  // namespace

fs::path stream(const fs::path& arm_folder, int64_t rank) {
  return arm_folder / ("rank-" + std::to_string(rank) + ".jsonl");
}

fs::path checkpoint(const fs::path& arm_folder, int64_t step) {
  return arm_folder / (kCheckpoint + std::to_string(step) + kTensors);
}

std::vector<int64_t> checkpoints(const fs::path& arm_folder) {
  std::vector<int64_t> steps;
  for (const fs::path& entry : entries_of(arm_folder)) {
    const std::string name = entry.filename().string();
    if (!is_numbered(name, kCheckpoint, kTensors)) continue;
    const char* digits = name.data() + std::string_view(kCheckpoint).size();
    int64_t step = 0;
    std::from_chars(digits, name.data() + name.size(), step);
    steps.push_back(step);
  }
  std::sort(steps.begin(), steps.end());
  return steps;
}

void remove_runs_of_program(const fs::path& arm_folder) {
  for (const fs::path& entry : entries_of(arm_folder)) {
    const std::string name = entry.filename().string();
    const bool is_of_run = is_numbered(name, "output-", ".txt") || is_repeat(name) ||
                           is_beside_streams(name) || name == kLog;
    if (is_of_run) fs::remove(entry);
  }
}

void remove_checkpoints(const fs::path& arm_folder, int64_t but_of_step) {
  for (const int64_t step : checkpoints(arm_folder)) {
    if (step != but_of_step) fs::remove(checkpoint(arm_folder, step));
  }
}

fs::path steps(const fs::path& arm_folder, int64_t rank) {
  return arm_folder / (rank == 0 ? kSteps : "steps-" + std::to_string(rank) + ".jsonl");
}

fs::path kept(const fs::path& arm_folder, int64_t rank) {
  return arm_folder / (kKept + std::to_string(rank) + kTensors);
}

fs::path sites(const fs::path& arm_folder, int64_t rank) {
  return arm_folder / ("sites-" + std::to_string(rank) + ".json");
}

fs::path output(const fs::path& arm_folder, int64_t run) {
  return arm_folder / ("output-" + std::to_string(run) + ".txt");
}

fs::path build_output(const fs::path& run_folder, const std::string& arm) {
  return run_folder / (kBuild + arm + kText);
}

fs::path repeat(const fs::path& arm_folder, int64_t run, int64_t rank) {
  return arm_folder /
         ("repeat-" + std::to_string(run) + "-rank-" + std::to_string(rank) + ".jsonl");
}

fs::path graph(const fs::path& arm_folder, int64_t index) {
  return arm_folder / ("graph-" + std::to_string(index) + ".json");
}

std::string closer_folder(const std::string& a, const std::string& b) {
  return "op-" + a + "+" + b;
}

std::string digest_of_file(const fs::path& file) {
  const MappedFile mapped(file.string());
  const int64_t shape[] = {static_cast<int64_t>(mapped.bytes().size())};
  return digest_of(Dtype::uint8, shape, mapped.bytes().data()).hex();
}

std::vector<std::string> of_arm(const fs::path& arm_folder) {
  std::vector<std::string> names;
  for (const fs::path& entry : entries_of(arm_folder)) {
    const std::string name = entry.filename().string();
    if (is_file_of_arm(name) && name != kFinished) names.push_back(name);
  }
  return names;
}

bool is_litter(const fs::path& file) {
  const std::string name = file.filename().string();
  constexpr size_t kSuffix = 7;  // ".XXXXXX" of AtomicFile
  if (name.size() <= kSuffix || name[name.size() - kSuffix] != '.') return false;
  const std::string target = name.substr(0, name.size() - kSuffix);
  return std::all_of(name.end() - kSuffix + 1, name.end(),
                     [](unsigned char c) { return std::isalnum(c) != 0; }) &&
         (is_file_of_run(target) || is_file_of_arm(target) || is_beside_streams(target));
}

void remove_litter(const fs::path& run_folder) {
  for (const fs::path& entry : entries_of(run_folder)) {
    if (is_folder(entry) && is_scratch(entry)) {
      fs::remove_all(entry);
    } else if (is_folder(entry)) {
      remove_litter(entry);
    } else if (is_litter(entry)) {
      fs::remove(entry);
    }
  }
}

void remove_run(const fs::path& run_folder) {
  require_only_a_run(run_folder);
  // What vouches goes first, and what makes it a run last: an interrupted removal leaves a run that
  // was cut off.
  fs::remove(run_folder / kManifest);
  for (const fs::path& entry : entries_of(run_folder)) {
    const fs::path name = entry.filename();
    if (name != kLock && name != kCase && name != kOrigin) fs::remove_all(entry);
  }
  for (const char* name : {kCase, kOrigin}) fs::remove(run_folder / name);
}

}  // namespace samebits::run_files
