#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "harness/workload/optimizer.h"
#include "harness/workload/trainer.h"
#include "harness/workload/workload.h"

namespace samebits {

// The workload `train`: the next-token loss over a file of token ids, `sequences` of them a step in
// the file's order, which begins anew at its end. The loss of a step is the mean over all of its
// tokens but the first of each sequence.
//
// It is the entropy term of the GRPO loss alone: with advantage 0, no KL term and the coefficient
// -1 for H = -L / tokens, loss and gradient are those of the mean negative log-likelihood.
class TokenTraining : public Workload {
 public:
  explicit TokenTraining(const ArmSettings& arm, World* world = nullptr);
  std::string step(int64_t step, Observer& observer) override;
  State state() const override;
  void load(const State& state) override;
  std::vector<const ProgramRecord*> programs() const override {
    return {&trainer_->program(), &optimizer_->program()};
  }

 private:
  std::vector<Sample> samples_of(int64_t step) const;

  ArmSettings arm_;
  Replicas replicas_;
  std::unique_ptr<Decoder> model_;
  std::vector<std::vector<int64_t>> sequences_;
  std::unique_ptr<Optimizer> optimizer_;
  std::unique_ptr<Trainer> trainer_;
};

// The sequences of an arm's file. Throws InputError for one of a single token, which predicts none,
// or of more than the model's positions.
std::vector<std::vector<int64_t>> read_training_tokens(const ArmSettings& arm,
                                                       const DecoderConfig& config);

// Tokens of the longest one.
int64_t longest_of(const std::vector<std::vector<int64_t>>& sequences);

}  // namespace samebits
