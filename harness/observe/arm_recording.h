#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "harness/bits/safetensors.h"
#include "harness/capture/guard_record.h"
#include "harness/observe/log_source.h"
#include "harness/observe/manifest.h"
#include "harness/observe/step_record.h"
#include "harness/observe/stream.h"

namespace samebits {

// What a run folder holds of one arm, finished or not.
struct ArmRecording {
  std::string arm;
  std::filesystem::path folder;
  std::vector<StreamContents> ranks;                          // by rank, from 0
  std::vector<StepRecord> steps;                              // of rank 0
  std::vector<std::vector<StepRecord>> steps_of_others = {};  // of the ranks from 1 on
  // Of a program that was run more than once: by run, from the second on, what its ranks saw.
  std::vector<std::vector<StreamContents>> repeats = {};
  std::vector<GuardRecord> guards = {};
  // What its observations' kept elements lie in (kept_file.h), by rank.
  std::vector<std::shared_ptr<const SafetensorsFile>> kept = {};
  std::optional<LogSource> log = {};  // of a recording that was read from a log
  bool finished = false;
  // Whether it ends with a marker: an arm of a run does, and what a recorder wrote; a stream that
  // another program wrote by itself has none.
  bool ends_with_marker = false;
  // Of a finished arm: why its files are not those that its marker vouches for; "" where they are.
  // Such a recording proves nothing.
  std::string damage;

  // Whether a stream's last line has no end. Its observation was not read.
  bool has_torn_line() const;
  bool is_cut_off() const { return (ends_with_marker && !finished) || has_torn_line(); }
};

// Reads ARM's folder, whatever a killed run left in it. InputError where it holds no stream.
ArmRecording read_arm(const std::filesystem::path& arm_folder);

// The same, and InputError where the recording is damaged.
ArmRecording read_whole_arm(const std::filesystem::path& arm_folder);

// The recording of an arm. InputError where it is not among them.
const ArmRecording& recording_of(const std::vector<ArmRecording>& recordings,
                                 const std::string& arm);

// Marks the recordings as damaged whose markers are not those that the run's manifest vouches for.
void check_markers(std::vector<ArmRecording>& recordings, const Manifest& manifest);

// The damage of a finished arm (ArmRecording::damage). "" for one that has not finished.
std::string damage_of_arm(const std::filesystem::path& arm_folder);

}  // namespace samebits
