// Scores, the loss, the sampler, and mark.

#include "harness/dtensor/strategies/common.h"

namespace samebits {
namespace {

// Row by row: a Shard of the batch dimensions stays, the vocabulary is gathered.
OpSharding by_rows(const OpCall& call, int64_t rank, size_t outputs) {
  for (const Placement placement : call.placements) {
    if (placement.is_shard() && placement.dim() != rank - 1) {
      return uniform(call, placement, outputs);
    }
  }
  return all_replicate(call, outputs);
}

OpSharding log_softmax_gather(const OpCall& call) {
  return by_rows(call, call.args[0].toTensor().dim(), 2);
}

OpSharding log_softmax_gather_backward(const OpCall& call) {
  return by_rows(call, call.args[1].toTensor().dim(), 1);
}

OpSharding sample(const OpCall& call) { return all_replicate(call, 2); }

OpSharding grpo_loss(const OpCall& call) { return all_replicate(call, 2); }

OpSharding grpo_loss_backward(const OpCall& call) { return all_replicate(call, 1); }

// Of the whole tensor, on every rank.
OpSharding digest_sums(const OpCall& call) { return all_replicate(call, 1); }
OpSharding digest_rows(const OpCall& call) { return all_replicate(call, 1); }
OpSharding mark(const OpCall& call) { return {call.placements, {}, {}}; }

SAMEBITS_STRATEGY("samebits::log_softmax_gather", log_softmax_gather);
SAMEBITS_STRATEGY("samebits::log_softmax_gather_backward", log_softmax_gather_backward);
SAMEBITS_STRATEGY("samebits::sample", sample);
SAMEBITS_STRATEGY("samebits::grpo_loss", grpo_loss);
SAMEBITS_STRATEGY("samebits::grpo_loss_backward", grpo_loss_backward);
SAMEBITS_STRATEGY("samebits::digest_sums", digest_sums);
SAMEBITS_STRATEGY("samebits::digest_rows", digest_rows);
SAMEBITS_STRATEGY("samebits::mark", mark);

}  // namespace
}  // namespace samebits
