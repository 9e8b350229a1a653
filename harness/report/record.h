#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "harness/compare/verdict.h"
#include "harness/observe/manifest.h"
#include "harness/report/gap.h"

namespace samebits {

// Everything that a report says, computed once from a run folder. The writers compute nothing.
struct ReportRecord {
  struct Metric {
    std::string site;   // "loss"
    std::string title;  // "loss"
  };
  // One relation in one step.
  struct Cell {
    bool equal = false;
    std::string text;  // "equal", or by how much and where first
  };
  struct Step {
    int64_t step = 0;
    std::vector<std::string> values;  // of the first arm, one a metric; "" where it has none
    int64_t tokens = 0;               // whose logprobs the first arm has
    std::vector<Cell> cells;          // one a relation
  };
  struct PhaseTotal {
    std::string phase;
    double seconds = 0;
    double share = 0;  // of the arm's phases
    int64_t peak_bytes = 0;
  };
  struct ArmCost {
    std::string name;
    std::string mode;       // "TP 1, eager", "TP 2, captured, no guards"
    std::string generator;  // "eager", "captured", "full_graph"
    std::string trainer;
    std::optional<LogprobGap> gap;
    std::vector<GuardRecord> guards;
    bool finished = false;
    int64_t steps = 0;
    double wall_seconds = 0;
    std::vector<PhaseTotal> phases;
    std::vector<std::pair<std::string, int64_t>> witness;  // summed over the steps
    std::string witness_failure;
    std::string completion;  // of the last step
  };
  struct GoldenLine {
    std::string arm;
    std::string status;  // compare/golden.h's names
    std::string text;
  };

  std::string case_name;
  std::string command;
  bool is_complete = false;            // the run has its manifest
  bool holds = false;                  // every relation, witness and golden
  std::string headline;                // the verdict in one sentence
  std::vector<std::string> operators;  // the first that differs, one sentence a pair that parted
  std::vector<std::pair<std::string, std::string>> environment;
  std::vector<Metric> metrics;  // those that the first arm has
  std::vector<Step> steps;
  std::vector<Verdict> verdicts;
  std::vector<ArmCost> arms;
  std::vector<GoldenLine> golden;
};

// From a run folder, finished or cut off. Throws InputError where it is none.
ReportRecord record_from_folder(const std::filesystem::path& run_folder);

// The same from what has been read already. `manifest` is absent for a run that was cut off.
ReportRecord record_from(const Case& c, const std::vector<ArmRecording>& recordings,
                         const std::optional<Manifest>& manifest);

}  // namespace samebits
