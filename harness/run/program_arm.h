#pragma once

#include <optional>
#include <string>
#include <vector>

#include "harness/observe/arm_recording.h"
#include "harness/run/arm.h"
#include "harness/run/program_run.h"
#include "harness/run/progress.h"

namespace samebits {

// What of an arm that is another program can be refused before anything runs: a program, a folder
// or a commit that is not there. Of a commit the rest is known once it is built. Throws InputError.
void check_program(const CaseArm& arm);

// An arm that is another program. It is run to its end, as often as the case says, and writes a
// stream into a folder (docs/stream.md); or it had been recorded. Its steps are then those of the
// stream. What it wrote to stdout and stderr stays in ARM/output-N.txt, of run N; the streams of
// later runs in ARM/repeat-N-rank-R.jsonl.
class ProgramArm : public Arm {
 public:
  // `recorder`, `activity` and `progress` are borrowed.
  ProgramArm(CaseArm settings, Level level, ArmRecorder& recorder, Activity& activity,
             Progress& progress);

  // Runs the program. RunError where it fails, is late, or leaves no whole stream: with its last
  // lines, and where the rest of what it printed is.
  void prepare() override;
  int64_t steps() const override { return static_cast<int64_t>(steps_.size()); }
  StepRecord step() override;
  std::vector<GuardRecord> guards() const override { return {}; }
  std::vector<std::string> saved_graphs() const override { return {}; }
  void stop() override;

 private:
  std::filesystem::path working_folder() const;
  void run(int64_t run);
  // What a run observed: the stream in {out}, or the log that it wrote.
  ArmRecording observed(const ProgramCall& call) const;
  // RunError where the first run did not keep what it was told to.
  void check_kept() const;
  // Moves what the first run left beside its streams into the arm's folder.
  void take_beside_streams();
  void keep_repeat(int64_t run, const ArmRecording& recording);

  CaseArm settings_;
  Level level_;
  ArmRecorder& recorder_;
  Activity& activity_;
  Progress& progress_;
  ArmRecording recording_;         // of the first run
  std::optional<PhaseCost> cost_;  // likewise: of the whole run, told of the first step
  std::vector<size_t> taken_;      // by rank: observations of the steps so far
  std::vector<int64_t> steps_;     // likewise: those that were observed, ascending
  size_t next_ = 0;                // of steps_
};

}  // namespace samebits
