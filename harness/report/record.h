#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "harness/compare/evidence.h"
#include "harness/compare/golden.h"
#include "harness/compare/on_policy.h"
#include "harness/compare/repeated_steps.h"
#include "harness/compare/verdict.h"
#include "harness/observe/manifest.h"
#include "harness/observe/planted_file.h"
#include "harness/observe/times_file.h"
#include "harness/report/pace.h"

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
    std::string on_policy;            // of the arms that are judged; "" where none is
    std::vector<std::string> losses;  // of each arm; "" where it has none
  };
  // Losses by step, of the arms that have the same ones to the bit.
  struct LossSeries {
    std::vector<std::string> arms;
    std::vector<std::optional<double>> values;      // one a step; nullopt where it has none
    std::vector<std::optional<uint64_t>> distance;  // in ULP from the first series'
  };
  // Some seconds: the median and the range. Of a phase those of the steps from the second on, or
  // of the only one.
  struct Spread {
    double low = 0;
    double median = 0;
    double high = 0;
  };
  // What a step of an arm takes, of rounds in which all arms ran for the clock alone.
  struct FairTime {
    std::string arm;
    int64_t rounds = 0;
    Spread wall;  // of the rounds, each the median of its steps
    Spread processor;
    PaceChange change;             // to the first arm
    bool is_by_processor = false;  // which of the two clocks the change is of
  };
  struct PhaseTotal {
    std::string phase;
    double seconds = 0;
    double processor_seconds = 0;
    double share = 0;  // of the arm's phases
    int64_t peak_bytes = 0;
    Spread wall;
    Spread processor;
  };
  // What observing an arm cost, a step: of those from the second on, or of the only one.
  struct Looking {
    Level level = Level::kStep;
    int64_t observations = 0;  // of the last step
    Spread wall;
    Spread processor;
    double share = 0;        // of the steps' wall clock, phases and observing together
    int64_t peak_bytes = 0;  // of any step
  };
  struct ArmRecord {
    std::string name;
    std::string mode;       // "TP 1, eager", "TP 2, captured, no guards", "another program"
    std::string generator;  // "eager", "captured", "full_graph", ...; "" of another program
    std::string trainer;
    std::optional<OnPolicy> on_policy;  // absent where it does not train
    std::string sync;                   // what its weight syncs did, in one sentence; "" for none
    std::vector<RepeatedStep> repeats;
    std::vector<GuardRecord> guards;
    bool finished = false;
    Evidence evidence;
    int64_t steps = 0;
    std::vector<int64_t> resumed_at;  // steps that began from a checkpoint
    double wall_seconds = 0;
    double processor_seconds = 0;
    Pace pace;
    PaceChange change;  // to the first arm
    std::vector<PhaseTotal> phases;
    std::optional<Looking> looking;                        // absent where the run does not tell it
    std::vector<std::pair<std::string, int64_t>> witness;  // summed over the steps
    std::string completion;                                // of the last step
  };
  // What failed, as a person reads it.
  struct Failure {
    std::string title;                                       // "eager and fused diverge"
    std::vector<std::pair<std::string, std::string>> facts;  // "where": "step 0, train, loss"
    std::vector<std::string> next;                           // commands that go on from here
  };

  std::string case_name;
  std::string command;
  std::filesystem::path folder;  // of the run, as it was named
  bool is_complete = false;      // the run has its manifest
  bool holds = false;            // every relation, arm and golden
  // A relation ties two of the arms, an arm's two sides were compared, or a golden was.
  bool has_comparison = false;
  std::string headline;  // the verdict in one sentence
  std::vector<Failure> failures;
  std::string workload;  // "grpo, 5 prompts x 8 samples of at most 20 tokens, temperature 1"
  std::string numerics;  // "sm90, bfloat16, flash attention, batch and TP invariant"
  std::string device;    // "cpu"
  std::vector<Manifest::ModelEntry> models;
  std::vector<std::string> blind_spots;  // what this run could not have seen, a sentence each
  std::vector<std::string> unexercised;  // what its case could have done and this run did not
  std::string load;  // a sentence on how busy the machine was; "" where that is not known
  std::vector<std::pair<std::string, std::string>> environment;
  std::vector<Metric> metrics;  // those that the first arm has
  std::vector<Step> steps;
  std::vector<LossSeries> losses;  // the first arm's first
  std::vector<Verdict> verdicts;
  std::vector<ArmRecord> arms;
  std::vector<GoldenCheck> golden;
  std::vector<FairTime> fair_times;   // of the arms that ran for the clock
  std::vector<PlantedFault> planted;  // what became of faults that were planted
};

// A run as it was read.
struct RecordedRun {
  Case settings;
  std::vector<ArmRecording> recordings;  // at least one
  std::optional<Manifest> manifest;      // absent for a run that was cut off
  std::filesystem::path folder;          // named in the commands that go on from a failure
  std::string damage;                    // why it is not the run that was recorded; "" where it is
  std::vector<TimedRun> times = {};      // of arms that ran again for the clock alone
  std::vector<PlantedFault> planted = {};
};

// From a run folder, finished or cut off. What the manifest says is checked against the files where
// they tell it. Throws InputError where it is no run folder.
RecordedRun read_run(const std::filesystem::path& run_folder);

ReportRecord record_from(const RecordedRun& run);
ReportRecord record_from_folder(const std::filesystem::path& run_folder);

}  // namespace samebits
