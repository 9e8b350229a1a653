#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "harness/base/file.h"
#include "harness/base/json.h"
#include "harness/case/case.h"
#include "harness/observe/arm_recorder.h"
#include "harness/observe/arm_recording.h"

namespace samebits {

// A claim on a run's folder (run_files.h), ended with the object.
//
// `origin` is what made the run (level, program, libraries, models by their bytes): a run is taken
// up by the same alone.
class RunFolder {
 public:
  // Takes `folder` for a new run of `c`: made where absent, refused (InputError) where it holds
  // anything or another process is running in it. What a run that was killed before its case was
  // written left behind is no run, and is removed.
  static RunFolder create(const std::filesystem::path& folder, const Case& c,
                          const Json& origin = Json::object());

  // The same in the place of the run that is there, which is removed. InputError, with nothing
  // removed, where the folder holds what no run writes.
  static RunFolder replace(const std::filesystem::path& folder, const Case& c,
                           const Json& origin = Json::object());

  // Takes up a run that was cut off, or begins the one that was killed before its case was written.
  // InputError where the folder holds no run, where its case is not `c` or its origin another, and
  // where another process is running in it. Arms that have not ended may have another mesh and
  // device than before.
  static RunFolder resume(const std::filesystem::path& folder, const Case& c,
                          const Json& origin = Json::object());

  RunFolder(RunFolder&&) noexcept = default;

  const std::filesystem::path& path() const { return path_; }

  // True for an arm that needs not run again: it has ended, and its files are whole. A run with a
  // manifest is evidence: its arms are not run again, whatever became of their files.
  bool is_finished(const std::string& arm) const;

  // Starts an arm, which has streams of this many ranks. Under resume, its recorded observations
  // are checked as they are seen again.
  std::unique_ptr<ArmRecorder> start_arm(const std::string& arm, int64_t ranks = 1);

 private:
  RunFolder(std::filesystem::path path, bool resume, FileDescriptor lock);
  std::filesystem::path path_;
  bool resume_ = false;
  FileDescriptor lock_;  // held with flock(2)
};

// The case that a run folder holds. InputError where it is no run folder.
Case case_of_run(const std::filesystem::path& run_folder);

}  // namespace samebits
