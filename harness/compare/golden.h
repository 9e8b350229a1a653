#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "harness/compare/divergence.h"
#include "harness/core/json.h"

// Goldens: blessed streams, golden/CASE/ARM.jsonl, each with its provenance in ARM.json beside it.
namespace samebits {

// What a golden keeps of a recording: its level-step observations, ranks in order, where runs of
// indexed sites (`logprob[0,0]`, `logprob[0,1]`, ...) become one `logprob[*]` over their digests.
std::vector<Observation> condense(const ArmRecording& recording);

struct GoldenCheck {
  enum class Status {
    kEqual,
    kDifferent,
    kAbsent,         // never blessed
    kOtherSettings,  // the arm was run with settings other than the blessed ones
  };
  std::string arm;
  Status status = Status::kAbsent;
  std::string text;  // one sentence

  bool fails() const { return status == Status::kDifferent; }
};

// Compares a finished arm with its golden, step by step as far as the run went. Throws InputError,
// with the command that made the golden, where that has another format version or platform.
GoldenCheck check_golden(const std::filesystem::path& golden_folder, const Case& c, const Arm& arm,
                         const ArmRecording& recording);

// Why a stream must not become golden: no observations, NaN or infinite values, a constant loss, a
// gradient norm of zero, a step whose completions are all empty. "" for a good one.
std::string degeneracy(const std::vector<Observation>& observations);

struct Provenance {
  std::string command;
  std::string reason;  // why the golden changed; required when it does
  std::vector<std::pair<std::string, std::string>> environment;
};

// Makes the streams of a run golden, except those of arms on plain LibTorch kernels, whose bits are
// the machine's own. Everything is checked before the first file is written.
// Returns one line an arm: what is new, unchanged, or changed and where first. Throws InputError
// for an arm that has not finished, a relation that does not hold, a degenerate stream, and a
// change without a reason.
std::vector<std::string> bless(const std::filesystem::path& golden_folder, const Case& c,
                               const std::vector<ArmRecording>& recordings,
                               const Provenance& provenance);

Json json_from_golden_check(const GoldenCheck& check);

}  // namespace samebits
