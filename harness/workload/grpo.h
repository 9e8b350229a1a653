#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "harness/tokenizer/tokenizer.h"
#include "harness/workload/engine.h"
#include "harness/workload/optimizer.h"
#include "harness/workload/rollouts.h"
#include "harness/workload/settings.h"
#include "harness/workload/trainer.h"
#include "harness/workload/weight_sync.h"
#include "harness/workload/workload.h"

namespace samebits {

// Group-relative policy optimisation in the form of torchtitan's simple RL loop: sample a group for
// every prompt, score, `updates` optimizer steps over all sequences, sync the generator's weights.
//
// Phase "weights" is no part of the loop: it observes the trainer's weights after the optimizer
// (NAME), and the weights on both sides of the sync: generator.before[NAME], generator.after[NAME],
// trainer.after[NAME]. draw[i] is what keys the random numbers of sample i: the seed and its id,
// also where its rollout is given and nothing is drawn.
class Grpo : public Workload {
 public:
  // `make_sync`: how weights reach the generator; tests plant faults there.
  using MakeSync = std::function<WeightSync(const SyncSettings&, const Decoder& from, Decoder& to)>;
  explicit Grpo(const ArmSettings& arm, World* world = nullptr,
                const MakeSync& make_sync = make_weight_sync);
  std::string step(int64_t step, Observer& observer) override;
  State state() const override;
  void load(const State& state) override;
  std::vector<const ProgramRecord*> programs() const override;

 private:
  std::vector<Sample> rollout(int64_t step, Observer& observer, std::string& first_text);
  std::vector<Rollout> roll_out(int64_t step, Observer& observer);
  void score_initially(std::vector<Sample>& samples, Observer& observer) const;
  void train(const std::vector<Sample>& samples, Observer& observer);
  void sync(Observer& observer);
  int64_t sequences_of_step() const;
  std::optional<double> temperature_of_trainer() const;
  int64_t draw_id(int64_t step, int64_t sequence) const;  // of a step's sequence

  ArmSettings arm_;
  Tokenizer tokenizer_;
  std::vector<std::vector<int64_t>> prompts_;
  TensorParallel parallel_;
  Replicas replicas_;
  std::unique_ptr<Decoder> generator_;
  std::unique_ptr<Decoder> trained_;
  std::unique_ptr<Decoder> initial_;  // keeps the first weights; only for a KL term that wants them
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<Optimizer> optimizer_;
  std::unique_ptr<Trainer> trainer_;
  WeightSync sync_;
  RolloutsByStep given_;  // in place of generating; empty: it generates
};

// Token ids of the arm's prompts. Throws InputError for one that encodes to nothing.
std::vector<std::vector<int64_t>> encode_prompts(const ArmSettings& arm,
                                                 const Tokenizer& tokenizer);

// Extends every request by the engine, each by the replica whose share it is in, and gives
// everybody all of the completions.
std::vector<Completion> generate(Engine& engine, const Replicas& replicas,
                                 const std::vector<Request>& requests, const Sampling& sampling,
                                 Observer& observer);

// An engine for `sequences` sequences of at most `longest` tokens, all running at once.
std::unique_ptr<Engine> make_engine(const ArmSettings& arm, const Decoder& model, int64_t sequences,
                                    int64_t longest);

}  // namespace samebits
