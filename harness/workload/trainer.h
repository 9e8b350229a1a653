#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "harness/execution/program.h"
#include "harness/model/decoder.h"
#include "harness/workload/observer.h"
#include "harness/workload/optimizer.h"
#include "harness/workload/replicas.h"
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

// Sums over the sequences of a step (kernels/step_gradient.h); logprobs under the trainer.
struct TrainResult {
  float loss = 0;
  float pg = 0;
  float entropy = 0;
  float kl = 0;
  int64_t clipped = 0;  // sequences whose ratio left the range that the loss clips to
  std::vector<std::vector<float>> logprobs;
};

// Logprobs of tokens[first..] given what stands before each, float32 [length - first], under the
// whole sequence in one call. With autograd on, the result has a graph. With `temperature`, of
// processed logits (processed_logits.h).
at::Tensor sequence_logprobs(const Decoder& model, const std::vector<int64_t>& tokens,
                             int64_t first, std::optional<double> temperature = std::nullopt);

struct TrainerSettings {
  LossSettings loss;
  int64_t sequences;                                 // of a step, a constant of the loss
  int64_t max_tokens;                                // of a micro-batch of more than one sequence
  std::optional<double> temperature = std::nullopt;  // as of sequence_logprobs()
};

// Forward, loss, backward and the sum of the gradients, a micro-batch at a time: sequences of one
// group of the gradient, or all of a subtree of groups, packed one after the other in their order.
// It is the model's own code under autograd, or one joint graph that was captured of it all, in
// which the numbers of sequences and of tokens are symbolic, run node by node or replayed, padded.
// With the contract's operators neither a cut into micro-batches nor padding moves a bit.
class Trainer {
 public:
  // Borrows the model, its optimizer, whose groups are those of this replica, and the replicas. Of
  // the modes that replay, kFullGraphAlways alone is a trainer's.
  Trainer(const Decoder& model, Optimizer& optimizer, const TrainerSettings& settings,
          const Mode& mode, const Replicas& replicas = kOneReplica);
  Trainer(const Trainer&) = delete;  // its program is a call of this one
  Trainer& operator=(const Trainer&) = delete;

  // Leaves the gradient of these samples, `sequences` of them, in the optimizer. Of several
  // replicas each has the groups that are its share; gradient and result are everybody's.
  // `observer` (null: none) is told of what a replay marks (step_runner.h).
  TrainResult accumulate(const std::vector<Sample>& samples, Observer* observer = nullptr);

  // How micro-batches ran: its counters are named trainer.*.
  const ExecutedProgram& program() const { return *program_; }

 private:
  // Samples of one group, or of several: then all that have a generated token.
  struct MicroBatch {
    std::vector<std::vector<const Sample*>> groups;
  };
  // What belongs together: micro-batches of one group, or one of `groups`.
  struct Subtree {
    int64_t groups;
    std::vector<MicroBatch> batches;
  };

  std::vector<at::Tensor> forward_and_backward(const std::vector<at::Tensor>& inputs);
  // Of all replicas.
  int64_t groups_of_step() const { return optimizer_.gradient().groups() * replicas_.size(); }
  // `group`: among those of this replica.
  std::vector<const Sample*> group_of(const std::vector<Sample>& samples, int64_t group) const;
  Subtree subtree_from(const std::vector<Sample>& samples, int64_t group) const;
  std::vector<at::Tensor> run(const MicroBatch& batch, int64_t tokens_of_step, Observer* observer);
  void share_results(const std::vector<Sample>& samples, TrainResult& result) const;

  const Decoder& model_;
  Optimizer& optimizer_;
  const Replicas& replicas_;
  TrainerSettings settings_;
  at::Tensor temperature_;  // on the model's device; undefined: logits as they are
  int64_t most_of_group_;   // sequences, at most
  std::unique_ptr<ExecutedProgram> program_;
};

}  // namespace samebits
