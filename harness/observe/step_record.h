#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "harness/observe/level.h"
#include "harness/plant/fault.h"

// What a step cost and what proves that it ran in its arm's mode. Clocks and memory differ from run
// to run, so these lie beside the observations (ARM/steps.jsonl) and are never compared.
namespace samebits {

struct PhaseCost {
  std::string phase;             // "rollout"; all of them: workload/observer.h
  double seconds = 0;            // wall clock
  double processor_seconds = 0;  // of all threads; 0 where it was not measured
  int64_t peak_bytes = 0;        // the most that tensors of the arm's device took; 0: not measured
};

// What observing a step cost, which is in no phase. Digests that a replayed graph computes are a
// part of the graph, and of the phase that replays it.
struct ObservationCost {
  Level level = Level::kStep;
  int64_t observations = 0;
  double seconds = 0;            // wall clock
  double processor_seconds = 0;  // of all threads
  int64_t peak_bytes = 0;        // the most that it held at once

  bool operator==(const ObservationCost&) const = default;
};

struct StepRecord {
  int64_t step = 0;
  std::vector<PhaseCost> phases = {};  // in the order they ran
  // Counters of the arm's witness in this step (execution/witness.h): "generator.nodes", ...
  std::vector<std::pair<std::string, int64_t>> witness;
  std::string completion = {};  // one sample of the step, as text (UTF-8)
  bool is_resumed = false;      // the first step after a checkpoint that the arm went on from
  std::optional<FaultWitness> planted = {};         // of a fault that was executed in it
  std::optional<ObservationCost> observation = {};  // absent of another program, and of older runs
};

std::string line_from_step_record(const StepRecord& record);
StepRecord step_record_from_line(std::string_view line, const std::string& where);

// The records of one arm; a torn last line is dropped, an absent file is empty.
std::vector<StepRecord> read_step_records(const std::filesystem::path& file);

}  // namespace samebits
