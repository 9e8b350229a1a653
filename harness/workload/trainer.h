#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "harness/execution/program.h"
#include "harness/model/decoder.h"
#include "harness/workload/optimizer.h"
#include "harness/workload/settings.h"

namespace samebits {

// One rollout, ready to be learnt from.
struct Sample {
  std::vector<int64_t> tokens;  // prompt, then completion
  int64_t prompt_length = 0;
  std::vector<float> logprobs;  // of the completion, as the generator reported them
  float advantage = 0;
  std::vector<float> initial_logprobs = {};  // by the first weights, where the KL term wants them
};

// Float32 sums over the sequences, in their order; logprobs under the trainer.
struct TrainResult {
  float loss = 0;
  float pg = 0;
  float entropy = 0;
  float kl = 0;
  int64_t clipped = 0;  // sequences whose ratio left the range that the loss clips to
  std::vector<std::vector<float>> logprobs;
};

// Logprobs of tokens[first..] given what stands before each, float32 [length - first], under the
// whole sequence in one call. With autograd on, the result has a graph.
at::Tensor sequence_logprobs(const Decoder& model, const std::vector<int64_t>& tokens,
                             int64_t first);

// Forward, loss, backward and the accumulation of the gradients, one sequence at a time, so that no
// more than one sequence's activations are alive: the model's own code under autograd, or one joint
// graph that was captured of it all, in which the sequence's and the completion's lengths are
// symbolic.
class Trainer {
 public:
  // Borrows the model and its optimizer. `sequences`: of a step, a constant of the loss.
  Trainer(const Decoder& model, Optimizer& optimizer, const LossSettings& loss, int64_t sequences,
          const Mode& mode);
  Trainer(const Trainer&) = delete;  // its program is a call of this one
  Trainer& operator=(const Trainer&) = delete;

  // Leaves the summed gradients of these samples, `sequences` of them, in the optimizer.
  TrainResult accumulate(const std::vector<Sample>& samples);

  // How sequences ran: its counters are named trainer.*.
  const ExecutedProgram& program() const { return *program_; }

 private:
  std::vector<at::Tensor> forward_and_backward(const std::vector<at::Tensor>& inputs);

  const Decoder& model_;
  Optimizer& optimizer_;
  LossSettings loss_;
  int64_t sequences_;
  at::Tensor one_;  // float32 []: the gradient of the loss
  std::unique_ptr<ExecutedProgram> program_;
};

}  // namespace samebits
