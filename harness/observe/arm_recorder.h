#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "harness/capture/guard_record.h"
#include "harness/observe/step_record.h"
#include "harness/observe/stream.h"

namespace samebits {

// Writes one arm's part of a run folder (run_files.h). Recording the same arm from two threads
// needs a lock.
class ArmRecorder {
 public:
  // `folder` exists. With `resume`, what was recorded in it is checked as it is seen again; what
  // was recorded of steps before `first_step` stands.
  ArmRecorder(std::filesystem::path folder, bool resume, int64_t first_step = 0);
  ~ArmRecorder();

  const std::filesystem::path& folder() const;
  int64_t first_step() const;  // of those that are to be run

  // The sink of one rank, made on first use. Owned by the recorder.
  ObservationSink& sink(int64_t rank);
  void record_step(const StepRecord& record);  // flushes every sink too
  // Of a rank other than 0, in a file of its own (run_files::steps).
  void record_step_of(int64_t rank, const StepRecord& record);
  void record_guards(const std::vector<GuardRecord>& guards);
  void record_graphs(const std::vector<std::string>& graphs);

  // What the arm could go on from stays when it has ended.
  void keep_checkpoints();

  // Hands what was observed so far to the kernel, so that it outlives this process.
  void flush();

  // Brings everything to the disk, then writes the marker. Under resume, RunError when an
  // observation that had been recorded was not seen again.
  void finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace samebits
