#pragma once

#include <cstdint>

#include "harness/model/config.h"
#include "harness/workload/settings.h"

namespace samebits {

// What an arm holds on its device from its first step to its last, in bytes, known from its
// settings alone. A number that int64_t cannot hold is the largest that it can. Activations, which
// depend on the sequences that are sampled, come on top, but for those that replays of the trainer
// keep.
struct MemoryPlan {
  int64_t weights = 0;  // RoPE tables included; of a grpo arm, the generator's and the trainer's
  int64_t kv_pages = 0;
  int64_t gradients = 0;  // the sums of groups (kernels/step_gradient.h), and what is made of them
  int64_t optimizer = 0;  // moments and master weights
  int64_t replays = 0;    // activations of the largest micro-batch, padded, where it is replayed

  int64_t total() const;
};

// `sequences` of at most `longest` tokens are generated at once, or those of the arm's key are
// trained on.
MemoryPlan plan_memory(const ArmSettings& arm, const DecoderConfig& config, int64_t sequences,
                       int64_t longest);

// Tokens that the trainer packs into one micro-batch: the arm's max_train_tokens, or without it as
// many as take about a quarter of what weights, gradients and optimizer state do in activations, the
// `longest` sequence's at least. A function of the settings, the same at every TP degree, so that
// arms that are compared cut alike. Throws InputError where the arm's are fewer than `longest`.
int64_t train_tokens(const ArmSettings& arm, const DecoderConfig& config, int64_t longest);

// Bytes that are free where the arm runs: on its card, or on the machine.
int64_t free_memory(const ArmSettings& arm);

// Throws InputError, in one line with both numbers, where the `free` bytes of the arm's card, or of
// the machine, do not hold the plan.
void check_memory(const ArmSettings& arm, const MemoryPlan& plan, int64_t free);

}  // namespace samebits
