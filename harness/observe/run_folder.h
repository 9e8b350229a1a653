#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "harness/core/case.h"
#include "harness/core/file.h"
#include "harness/core/guard_record.h"
#include "harness/observe/step_record.h"
#include "harness/observe/stream.h"

// The folder of a run:
//   case.json          the resolved case, written first
//   ARM/rank-R.jsonl   observations
//   ARM/steps.jsonl    costs and witness of each step
//   ARM/guards.json    the guard ledger of a captured arm, when it has ended
//   ARM/graph-N.json   the graphs of a captured generator, for an arm to run from
//   ARM/finished.json  written when the arm has ended
//   manifest.json      written last (manifest.h)
//   report.md
namespace samebits {

// Writes one arm's part of a run folder. Recording the same arm from two threads needs a lock.
class ArmRecorder {
 public:
  ~ArmRecorder();

  // The sink of one rank, made on first use. Owned by the recorder.
  ObservationSink& sink(int64_t rank);
  void record_step(const StepRecord& record);  // flushes every sink too
  void record_guards(const std::vector<GuardRecord>& guards);

  // Flushes and marks the arm finished. Under resume, RunError when an observation that had been
  // recorded was not seen again.
  void finish();

 private:
  friend class RunFolder;
  ArmRecorder(std::filesystem::path folder, bool resume);
  struct State;
  std::unique_ptr<State> state_;
};

// A claim on a run's folder, ended with the object.
class RunFolder {
 public:
  // Takes `folder` for a new run of `c`: made where absent, refused (InputError) where it holds
  // anything or another process is running in it.
  static RunFolder create(const std::filesystem::path& folder, const Case& c);

  // Takes up a run that was cut off. InputError where the folder holds none, where its case is not
  // `c`, or where another process is running in it.
  static RunFolder resume(const std::filesystem::path& folder, const Case& c);

  RunFolder(RunFolder&&) noexcept = default;

  const std::filesystem::path& path() const { return path_; }
  bool is_finished(const std::string& arm) const;

  // Starts an arm. Under resume, its recorded observations are checked as they are seen again.
  std::unique_ptr<ArmRecorder> start_arm(const std::string& arm);

 private:
  RunFolder(std::filesystem::path path, bool resume, FileDescriptor lock);
  std::filesystem::path path_;
  bool resume_ = false;
  FileDescriptor lock_;  // held with flock(2)
};

// What a run folder holds of one arm, finished or not.
struct ArmRecording {
  std::string arm;
  std::filesystem::path folder;
  std::vector<StreamContents> ranks;  // by rank, from 0
  std::vector<StepRecord> steps;
  std::vector<GuardRecord> guards;
  bool finished = false;
};

// Reads ARM's folder, whatever a killed run left in it. InputError where it holds no stream, or
// fewer observations than the finished arm had.
ArmRecording read_arm(const std::filesystem::path& arm_folder);

// The case that a run folder holds. InputError where it is no run folder.
Case case_of_run(const std::filesystem::path& run_folder);

}  // namespace samebits
