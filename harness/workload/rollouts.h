#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "harness/workload/settings.h"

namespace samebits {

// What was rolled out of one prompt: by a generator, or given.
struct Rollout {
  std::vector<int64_t> tokens;  // of the completion
  std::vector<float> logprobs;  // of each of them, as a generator reported them
  std::optional<float> reward;  // absent: it is to be computed

  bool operator==(const Rollout&) const = default;
};

// By step, then by sequence of the step.
using RolloutsByStep = std::vector<std::vector<Rollout>>;

// A file of rollouts (docs/case.md, workload.rollouts): JSON, {"steps": [[{"tokens": [...],
// "logprobs": [...], "reward": R}, ...], ...]}, tokens below `vocab_size`, one step at least.
// Floats are written so that they read back to the same bits. Throws InputError that names file and
// place.
RolloutsByStep read_rollouts(const std::filesystem::path& file, int64_t vocab_size);

// Throws RunError where it cannot be written.
void write_rollouts(const std::filesystem::path& file, const RolloutsByStep& rollouts);

// Those of a step of an arm with so many sequences. Throws InputError where the file has no such
// step, another number of sequences, or more tokens in one than the arm generates.
std::vector<Rollout> rollouts_of_step(const RolloutsByStep& rollouts, int64_t step,
                                      size_t sequences, const ArmSettings& arm);

}  // namespace samebits
