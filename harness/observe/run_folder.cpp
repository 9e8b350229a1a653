#include "harness/observe/run_folder.h"

#include <sys/file.h>

#include <algorithm>
#include <utility>

#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/base/json_difference.h"
#include "harness/observe/run_files.h"
#include "harness/observe/step_record.h"

namespace samebits {
namespace {

namespace fs = std::filesystem;

// The claim of a running process on the folder. It ends with the process, however that ends.
FileDescriptor lock_folder(const fs::path& folder) {
  FileDescriptor lock = open_for_appending((folder / run_files::kLock).string());
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    throw InputError(folder.string(), "a run in progress in it",
                     "a folder of its own for this run");
  }
  return lock;
}

bool is_run(const fs::path& folder) { return fs::exists(folder / run_files::kCase); }

// Without a case, what a run writes before it is nobody's.
void refuse_content(const fs::path& folder) {
  if (is_run(folder)) {
    throw InputError(folder.string(), "a run recorded in it",
                     "a new folder, --resume to go on with that run, or --force to replace it");
  }
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (name == run_files::kLock || name == run_files::kOrigin ||
        run_files::is_litter(entry.path())) {
      continue;
    }
    throw InputError(folder.string(), "other files in it (" + name + ")", "a new folder");
  }
}

std::string first_different_line(const std::string& found, const std::string& expected) {
  size_t i = 0;
  while (i < found.size() && i < expected.size() && found[i] == expected[i]) ++i;
  const size_t begin = i == 0 ? 0 : found.rfind('\n', i - 1) + 1;
  std::string line = found.substr(begin, found.find('\n', begin) - begin);
  return line.substr(std::min(line.find_first_not_of(' '), line.size()));
}

// A case without where its arms run, which moves no bit: an arm that has not ended may go on
// elsewhere, and what it saw is checked as it is seen again.
Json without_places(const std::string& text, const fs::path& folder) {
  Json json = parse_json(text, (folder / run_files::kCase).string());
  for (auto& [name, arm] : json.at("arms").items()) {
    if (fs::exists(folder / name / run_files::kFinished)) continue;
    arm.erase("mesh");
    arm.erase("device");
  }
  return json;
}

void check_origin(const fs::path& folder, const Json& origin) {
  const fs::path file = folder / run_files::kOrigin;
  if (!fs::exists(file)) {
    throw InputError(folder.string(), "no run.json (an earlier version of samebits recorded it)",
                     "a run that can be taken up");
  }
  const Json recorded = read_json_file(file);
  const auto difference = first_difference(recorded, origin);
  if (!difference) return;
  throw InputError(file.string() + ": " + difference->key, difference->first,
                   difference->second + ", which is there now; start the run in a new folder");
}

// The last checkpoint before which every step is on record; 0 without one.
int64_t step_to_go_on_from(const fs::path& arm_folder) {
  int64_t recorded = 0;
  for (const StepRecord& step : read_step_records(run_files::steps(arm_folder, /*rank=*/0))) {
    if (step.step != recorded) break;
    ++recorded;
  }
  int64_t first = 0;
  for (const int64_t step : run_files::checkpoints(arm_folder)) {
    if (step <= recorded) first = step;
  }
  return first;
}

// Cuts a file of step records before step `end`.
void keep_steps(const fs::path& file, int64_t end) {
  std::string kept;
  for (const StepRecord& step : read_step_records(file)) {
    if (step.step < end) kept += line_from_step_record(step) + "\n";
  }
  write_text_file(file.string(), kept);
}

// The case is written last: until then the folder is no run, and is begun anew.
void begin_run(const fs::path& folder, const Case& c, const Json& origin) {
  run_files::remove_litter(folder);
  write_text_file((folder / run_files::kOrigin).string(), origin.dump(2) + "\n");
  write_text_file((folder / run_files::kCase).string(), canonical_json(c) + "\n");
}

}  // namespace

RunFolder::RunFolder(fs::path path, bool resume, FileDescriptor lock)
    : path_(std::move(path)), resume_(resume), lock_(std::move(lock)) {}

RunFolder RunFolder::create(const fs::path& folder, const Case& c, const Json& origin) {
  make_folder(folder);
  refuse_content(folder);
  FileDescriptor lock = lock_folder(folder);
  refuse_content(folder);  // another process may have been here between the two lines above
  begin_run(folder, c, origin);
  return RunFolder(folder, /*resume=*/false, std::move(lock));
}

RunFolder RunFolder::replace(const fs::path& folder, const Case& c, const Json& origin) {
  if (!is_run(folder)) return create(folder, c, origin);
  FileDescriptor lock = lock_folder(folder);
  run_files::remove_run(folder);
  begin_run(folder, c, origin);
  return RunFolder(folder, /*resume=*/false, std::move(lock));
}

RunFolder RunFolder::resume(const fs::path& folder, const Case& c, const Json& origin) {
  if (!is_run(folder)) {
    if (!fs::exists(folder / run_files::kLock)) {
      throw InputError(folder.string(), "no case.json", "the folder of a run that was cut off");
    }
    return create(folder, c, origin);  // a run that was killed as it began
  }
  FileDescriptor lock = lock_folder(folder);
  const fs::path file = folder / run_files::kCase;
  const std::string recorded = read_text_file(file.string());
  const std::string wanted = canonical_json(c) + "\n";
  if (without_places(recorded, folder) != without_places(wanted, folder)) {
    throw InputError(file.string(),
                     "a run of another case: " + first_different_line(recorded, wanted),
                     "the case to resume: " + first_different_line(wanted, recorded));
  }
  check_origin(folder, origin);
  if (recorded != wanted) write_text_file(file.string(), wanted);
  run_files::remove_litter(folder);
  return RunFolder(folder, /*resume=*/true, std::move(lock));
}

bool RunFolder::is_finished(const std::string& arm) const {
  if (!fs::exists(path_ / arm / run_files::kFinished)) return false;
  return fs::exists(path_ / run_files::kManifest) || damage_of_arm(path_ / arm).empty();
}

std::unique_ptr<ArmRecorder> RunFolder::start_arm(const std::string& arm, int64_t ranks) {
  const fs::path folder = path_ / arm;
  make_folder(folder);
  // Of a run that had more ranks before: each saw what rank 0 saw.
  for (int64_t rank = ranks; fs::remove(run_files::stream(folder, rank)); ++rank) {
  }
  // The marker of files that are not whole, and clocks of the run that was cut off: the arm starts
  // over.
  fs::remove(folder / run_files::kFinished);
  run_files::remove_runs_of_program(folder);
  const int64_t first_step = resume_ ? step_to_go_on_from(folder) : 0;
  for (int64_t rank = 0; fs::exists(run_files::steps(folder, rank)); ++rank) {
    const fs::path file = run_files::steps(folder, rank);
    rank<ranks && first_step> 0 ? keep_steps(file, first_step) : (void)fs::remove(file);
  }
  return std::make_unique<ArmRecorder>(folder, resume_, first_step);
}

Case case_of_run(const fs::path& run_folder) {
  const fs::path file = run_folder / run_files::kCase;
  if (!fs::exists(file)) {
    throw InputError(run_folder.string(), "no case.json", "the folder of a run");
  }
  return load_case(file);
}

}  // namespace samebits
