#include "harness/workload/grpo.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include <algorithm>

#include "harness/core/error.h"
#include "harness/workload/rewards.h"
#include "harness/workload/weight_sync.h"

namespace samebits {
namespace {

void observe_logprobs(Observer& observer, size_t sample, const std::vector<float>& logprobs) {
  for (size_t t = 0; t < logprobs.size(); ++t) {
    observer.observe(fmt::format("logprob[{},{}]", sample, t), at::scalar_tensor(logprobs[t]));
  }
}

// Transformers gives the padding token's row of the embedding no gradient where the token is read;
// samebits has no such row. Which tokens are read is only known once they are sampled.
void refuse_padding(const std::vector<Sample>& samples, std::optional<int64_t> padding_id) {
  if (!padding_id) return;
  for (const Sample& sample : samples) {
    const auto last = sample.tokens.end() - 1;  // predicted, but never read
    if (std::find(sample.tokens.begin(), last, *padding_id) != last) {
      throw InputError("config.json: pad_token_id", fmt::format("{} within a text", *padding_id),
                       "no such token in what is trained on, or no pad_token_id: Transformers "
                       "gives its embedding no gradient");
    }
  }
}

}  // namespace

std::vector<std::vector<int64_t>> encode_prompts(const Arm& arm, const Tokenizer& tokenizer) {
  std::vector<std::vector<int64_t>> prompts;
  for (const PromptSettings& prompt : arm.workload.prompts) {
    const auto ids = tokenizer.encode(prompt.prompt);
    if (ids.empty()) throw InputError("workload.prompts", "an empty prompt", "text");
    prompts.emplace_back(ids.begin(), ids.end());
  }
  return prompts;
}

std::unique_ptr<Engine> make_engine(const Arm& arm, const Qwen3& model, int64_t sequences,
                                    int64_t longest) {
  EngineSettings settings;
  settings.max_batch_tokens = arm.workload.max_batch_tokens;
  settings.block_size = arm.workload.block_size;
  settings.blocks = sequences * Engine::blocks_for(longest, settings.block_size);
  settings.mode = {arm.generator, arm.guards, arm.passes, arm.graph, arm.buckets};
  return std::make_unique<Engine>(model, settings);
}

Grpo::Grpo(const Arm& arm)
    : arm_(arm),
      tokenizer_(Tokenizer::from_folder(arm.model)),
      prompts_(encode_prompts(arm, tokenizer_)),
      parallel_(make_parallel(arm)),
      generator_(make_model(arm, parallel_)),
      trained_(make_model(arm, parallel_)) {
  size_t longest = 0;
  for (const auto& prompt : prompts_) longest = std::max(longest, prompt.size());
  engine_ =
      make_engine(arm, *generator_, static_cast<int64_t>(prompts_.size()) * arm.workload.group,
                  static_cast<int64_t>(longest) + arm.workload.max_new_tokens);
  optimizer_ = std::make_unique<Optimizer>(*trained_, arm.workload.optimizer, arm.trainer);
  trainer_ = std::make_unique<Trainer>(*trained_, *optimizer_, arm.workload.loss,
                                       static_cast<int64_t>(prompts_.size()) * arm.workload.group,
                                       arm.trainer, arm.guards);
}

StepOutcome Grpo::step(int64_t step, Observer& observer) {
  StepOutcome outcome;
  const Counters before = witness();
  const std::vector<Sample> samples = rollout(step, observer, outcome.completion);
  train(samples, observer);
  observer.begin_phase("sync");
  sync_weights(*trained_, *generator_);
  outcome.witness = growth_of(before, witness());
  return outcome;
}

std::vector<const ModedProgram*> Grpo::training_programs() const {
  return {&trainer_->program(), &optimizer_->program()};
}

Counters Grpo::witness() const {
  Counters counters = engine_->runner().witness();
  for (const ModedProgram* program : training_programs()) {
    const Counters more = program->witness();
    counters.insert(counters.end(), more.begin(), more.end());
  }
  return counters;
}

std::vector<GuardRecord> Grpo::guards() const {
  std::vector<GuardRecord> guards = engine_->runner().guards();
  for (const ModedProgram* program : training_programs()) {
    const std::vector<GuardRecord> more = program->guards();
    guards.insert(guards.end(), more.begin(), more.end());
  }
  return guards;
}

std::vector<Sample> Grpo::rollout(int64_t step, Observer& observer, std::string& first_text) {
  observer.begin_phase("rollout");
  const WorkloadSettings& settings = arm_.workload;
  const int64_t sequences = static_cast<int64_t>(prompts_.size()) * settings.group;
  std::vector<Request> requests;
  for (int64_t i = 0; i < sequences; ++i) {
    // Every sequence of a run has an id of its own, so no two share random numbers.
    requests.push_back({step * sequences + i, prompts_[i / settings.group], {}});
  }
  const std::vector<Completion> completions = engine_->generate(
      requests,
      {arm_.seed, settings.max_new_tokens, settings.temperature, settings.top_k, settings.top_p},
      &observer);

  std::vector<Sample> samples;
  float reward_sum = 0.0f;
  std::vector<float> group_rewards;
  for (size_t i = 0; i < completions.size(); ++i) {
    const Completion& completion = completions[i];
    const size_t prompt = i / settings.group;
    const std::string text = tokenizer_.decode(completion.tokens, /*skip_special=*/true);
    const float reward = static_cast<float>(reward_of(text, settings.prompts[prompt].answer));
    if (i == 0) first_text = text;
    observer.observe(fmt::format("completion[{}]", i), at::tensor(completion.tokens));
    observe_logprobs(observer, i, completion.logprobs);
    observer.observe(fmt::format("reward[{}]", i), at::scalar_tensor(reward));
    reward_sum += reward;

    std::vector<int64_t> tokens = prompts_[prompt];
    tokens.insert(tokens.end(), completion.tokens.begin(), completion.tokens.end());
    samples.push_back({std::move(tokens), static_cast<int64_t>(prompts_[prompt].size()),
                       completion.logprobs, 0.0f});
    group_rewards.push_back(reward);
    if (static_cast<int64_t>(group_rewards.size()) == settings.group) {
      const std::vector<float> advantages = advantages_of(group_rewards, settings.advantage);
      for (size_t j = 0; j < advantages.size(); ++j) {
        samples[samples.size() - advantages.size() + j].advantage = advantages[j];
      }
      group_rewards.clear();
    }
  }
  observer.observe("reward_mean",
                   at::scalar_tensor(reward_sum / static_cast<float>(completions.size())));
  return samples;
}

void Grpo::train(const std::vector<Sample>& samples, Observer& observer) {
  refuse_padding(samples, trained_->config().padding_id);
  observer.begin_phase("train");
  const TrainResult result = trainer_->accumulate(samples);
  for (size_t i = 0; i < result.logprobs.size(); ++i) {
    observe_logprobs(observer, i, result.logprobs[i]);
  }
  observer.observe("pg", at::scalar_tensor(result.pg));
  observer.observe("entropy", at::scalar_tensor(result.entropy));
  observer.observe("kl", at::scalar_tensor(result.kl));
  observer.observe("loss", at::scalar_tensor(result.loss));

  observer.begin_phase("optimizer");
  observer.observe("grad_norm", optimizer_->step());
  const c10::NoGradGuard no_grad;
  for (const Parameter& parameter : trained_->parameters()) {
    observer.observe(parameter.name, parameter.tensor.detach());
  }
}

}  // namespace samebits
