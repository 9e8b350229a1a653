#include "harness/workload/token_training.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>

#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/workload/memory_plan.h"
#include "harness/workload/observed_values.h"
#include "harness/workload/token_ids.h"

namespace samebits {
namespace {

constexpr LossSettings kNegativeLogLikelihood = {.clip = 0.2, .entropy = -1, .kl = 0};

}  // namespace

std::vector<std::vector<int64_t>> read_training_tokens(const ArmSettings& arm,
                                                       const DecoderConfig& config) {
  const std::string file = arm.workload.tokens.string();
  auto sequences = parse_token_ids(read_text_file(file), file, config.vocab_size);
  for (size_t i = 0; i < sequences.size(); ++i) {
    const auto length = static_cast<int64_t>(sequences[i].size());
    if (length >= 2 && length <= config.max_position_embeddings) continue;
    throw InputError(fmt::format("{}: [{}]", file, i), fmt::format("{} tokens", length),
                     fmt::format("2 to {}, the model's positions", config.max_position_embeddings));
  }
  return sequences;
}

int64_t longest_of(const std::vector<std::vector<int64_t>>& sequences) {
  size_t longest = 0;
  for (const auto& sequence : sequences) longest = std::max(longest, sequence.size());
  return static_cast<int64_t>(longest);
}

TokenTraining::TokenTraining(const ArmSettings& arm, World* world)
    : arm_(arm),
      replicas_(make_replicas(world)),
      model_(make_model(arm, arm.trainer, make_parallel(arm, world))),
      sequences_(read_training_tokens(arm, model_->config())) {
  optimizer_ = std::make_unique<Optimizer>(*model_, arm.workload.optimizer, optimizer_mode(arm),
                                           arm.workload.gradient_groups / replicas_.size(),
                                           arm.mesh.shards_optimizer() ? replicas_ : kOneReplica);
  const TrainerSettings settings{
      .loss = kNegativeLogLikelihood,
      .sequences = arm.workload.sequences,
      .max_tokens = train_tokens(arm, model_->config(), longest_of(sequences_))};
  trainer_ =
      std::make_unique<Trainer>(*model_, *optimizer_, settings, trainer_mode(arm), replicas_);
}

State TokenTraining::state() const {
  State state;
  add_parameters(state, "trainer", *model_);
  optimizer_->add_state(state);
  return state;
}

void TokenTraining::load(const State& state) {
  load_parameters(state, "trainer", *model_);
  optimizer_->load(state);
}

std::vector<Sample> TokenTraining::samples_of(int64_t step) const {
  std::vector<Sample> samples;
  for (int64_t i = 0; i < arm_.workload.sequences; ++i) {
    const auto at = static_cast<size_t>(step * arm_.workload.sequences + i) % sequences_.size();
    const std::vector<int64_t>& tokens = sequences_[at];
    samples.push_back({tokens, /*prompt_length=*/1, std::vector<float>(tokens.size() - 1), 0.0f});
  }
  return samples;
}

std::string TokenTraining::step(int64_t step, Observer& observer) {
  observer.begin_phase("train");
  const TrainResult result = trainer_->accumulate(samples_of(step), &observer);
  for (size_t i = 0; i < result.logprobs.size(); ++i) {
    observe_logprobs(observer, i, result.logprobs[i]);
  }
  observer.observe("loss", at::scalar_tensor(result.loss));
  observer.begin_phase("optimizer");
  observe_optimizer(observer, *model_, *optimizer_);
  observer.begin_phase("weights");
  observe_weights(observer, *model_);
  return "";
}

}  // namespace samebits
