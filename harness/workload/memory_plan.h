#pragma once

#include <cstdint>

#include "harness/model/config.h"
#include "harness/workload/settings.h"

namespace samebits {

// What an arm holds on its device from its first step to its last, in bytes, known from its
// settings alone. A number that int64_t cannot hold is the largest that it can. Activations, which
// depend on the sequences that are sampled, come on top.
struct MemoryPlan {
  int64_t weights = 0;  // RoPE tables included; of a grpo arm, the generator's and the trainer's
  int64_t kv_pages = 0;
  int64_t gradients = 0;  // of one sequence, and their sums
  int64_t optimizer = 0;  // moments and master weights

  int64_t total() const;
};

// `sequences` of at most `longest` tokens run at once.
MemoryPlan plan_memory(const ArmSettings& arm, const DecoderConfig& config, int64_t sequences,
                       int64_t longest);

// Bytes that are free where the arm runs: on its card, or on the machine.
int64_t free_memory(const ArmSettings& arm);

// Throws InputError, in one line with both numbers, where the `free` bytes of the arm's card, or of
// the machine, do not hold the plan.
void check_memory(const ArmSettings& arm, const MemoryPlan& plan, int64_t free);

}  // namespace samebits
