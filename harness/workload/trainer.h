#pragma once

#include <cstdint>
#include <vector>

#include "harness/core/case.h"
#include "harness/model/qwen3.h"
#include "harness/workload/optimizer.h"

namespace samebits {

// One rollout, ready to be learnt from.
struct Sample {
  std::vector<int64_t> tokens;  // prompt, then completion
  int64_t prompt_length = 0;
  std::vector<float> logprobs;  // of the completion, as the generator reported them
  float advantage = 0;
};

// Float32 sums over the sequences, in their order; logprobs under the trainer.
struct TrainResult {
  float loss = 0;
  float pg = 0;
  float entropy = 0;
  float kl = 0;
  std::vector<std::vector<float>> logprobs;
};

// Logprobs of tokens[first..] given what stands before each, float32 [length - first], under the
// whole sequence in one call. With autograd on, the result has a graph.
at::Tensor sequence_logprobs(const Qwen3& model, const std::vector<int64_t>& tokens, int64_t first);

// Runs the sequences forward and backward one by one, so that no more than one sequence's
// activations are alive, and leaves the summed gradients in the optimizer.
TrainResult accumulate_gradients(Qwen3& model, Optimizer& optimizer,
                                 const std::vector<Sample>& samples, const LossSettings& loss);

}  // namespace samebits
