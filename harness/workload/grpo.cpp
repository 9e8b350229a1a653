#include "harness/workload/grpo.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include <algorithm>

#include "harness/base/error.h"
#include "harness/workload/memory_plan.h"
#include "harness/workload/observed_values.h"
#include "harness/workload/rewards.h"

namespace samebits {
namespace {

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

// As the generator reads it: nothing masks the padding, and positions count it.
std::vector<int64_t> padded(const std::vector<int64_t>& prompt, size_t length,
                            const DecoderConfig& config) {
  const std::vector<int64_t>& ends = config.eos_token_ids;
  const int64_t padding = config.padding_id.value_or(ends.empty() ? 0 : ends.front());
  std::vector<int64_t> tokens(length - prompt.size(), padding);
  tokens.insert(tokens.end(), prompt.begin(), prompt.end());
  return tokens;
}

}  // namespace

std::vector<std::vector<int64_t>> encode_prompts(const ArmSettings& arm,
                                                 const Tokenizer& tokenizer) {
  std::vector<std::vector<int64_t>> prompts;
  for (const PromptSettings& prompt : arm.workload.prompts) {
    const auto ids = tokenizer.encode(prompt.prompt);
    if (ids.empty()) throw InputError("workload.prompts", "an empty prompt", "text");
    prompts.emplace_back(ids.begin(), ids.end());
  }
  return prompts;
}

std::unique_ptr<Engine> make_engine(const ArmSettings& arm, const Decoder& model, int64_t sequences,
                                    int64_t longest) {
  EngineSettings settings;
  settings.max_batch_tokens = arm.workload.max_batch_tokens;
  settings.block_size = arm.workload.block_size;
  settings.blocks = sequences * Engine::blocks_for(longest, settings.block_size);
  settings.mode = arm.generator;
  settings.keeps_prefixes = arm.workload.prefix_pages == PrefixPages::kKept;
  return std::make_unique<Engine>(model, settings);
}

std::vector<Completion> generate(Engine& engine, const Replicas& replicas,
                                 const std::vector<Request>& requests, const Sampling& sampling,
                                 Observer& observer) {
  const auto [first, end] = replicas.share_of(static_cast<int64_t>(requests.size()));
  const std::vector<Request> share(requests.begin() + first, requests.begin() + end);
  std::vector<Completion> completions = engine.generate(share, sampling, &observer);
  if (replicas.size() == 1) return completions;
  std::vector<int64_t> lengths, tokens;
  std::vector<float> logprobs;
  for (const Completion& each : completions) {
    lengths.push_back(static_cast<int64_t>(each.tokens.size()));
    tokens.insert(tokens.end(), each.tokens.begin(), each.tokens.end());
    logprobs.insert(logprobs.end(), each.logprobs.begin(), each.logprobs.end());
  }
  lengths = replicas.gather(lengths);
  tokens = replicas.gather(tokens);
  logprobs = replicas.gather(logprobs);
  completions.clear();
  auto next_token = tokens.begin();
  auto next_logprob = logprobs.begin();
  for (const int64_t length : lengths) {
    completions.push_back(
        {{next_token, next_token + length}, {next_logprob, next_logprob + length}});
    next_token += length;
    next_logprob += length;
  }
  return completions;
}

Grpo::Grpo(const ArmSettings& arm, World* world, const MakeSync& make_sync)
    : arm_(arm),
      tokenizer_(Tokenizer::from_folder(arm.model)),
      prompts_(encode_prompts(arm, tokenizer_)),
      parallel_(make_parallel(arm, world)),
      replicas_(make_replicas(world)),
      generator_(make_model(arm, arm.generator, parallel_,
                            arm.workload.untied_head == UntiedHead::kGenerator)),
      trained_(make_model(arm, arm.trainer, parallel_,
                          arm.workload.untied_head == UntiedHead::kTrainer)) {
  if (arm.workload.loss.kl_reference == KlReference::kInitial) {
    initial_ = make_model(arm, arm.trainer, parallel_);
  }
  int64_t longest = 0;
  for (const auto& prompt : prompts_) {
    longest = std::max(longest, static_cast<int64_t>(prompt.size()) + arm.workload.max_new_tokens);
  }
  engine_ = make_engine(arm, *generator_, replicas_.largest_share(sequences_of_step()), longest);
  optimizer_ = std::make_unique<Optimizer>(*trained_, arm.workload.optimizer, optimizer_mode(arm),
                                           arm.workload.gradient_groups / replicas_.size(),
                                           arm.mesh.shards_optimizer() ? replicas_ : kOneReplica);
  const TrainerSettings settings{.loss = arm.workload.loss,
                                 .sequences = sequences_of_step(),
                                 .max_tokens = train_tokens(arm, trained_->config(), longest),
                                 .temperature = temperature_of_trainer()};
  trainer_ =
      std::make_unique<Trainer>(*trained_, *optimizer_, settings, trainer_mode(arm), replicas_);
  sync_ = make_sync(arm.workload.sync, *trained_, *generator_);
  if (!arm.workload.rollouts.empty()) {
    given_ = read_rollouts(arm.workload.rollouts, trained_->config().vocab_size);
  }
}

std::string Grpo::step(int64_t step, Observer& observer) {
  std::string completion;
  std::vector<Sample> samples = rollout(step, observer, completion);
  if (initial_) score_initially(samples, observer);
  for (int64_t update = 0; update < arm_.workload.updates; ++update) train(samples, observer);
  sync(observer);
  return completion;
}

// Random numbers are keyed by the step and the sample, so that none are left behind; the first
// weights, which a KL term may want, are those of the model's folder.
State Grpo::state() const {
  State state;
  add_parameters(state, "trainer", *trained_);
  add_parameters(state, "generator", *generator_);
  optimizer_->add_state(state);
  return state;
}

void Grpo::load(const State& state) {
  load_parameters(state, "trainer", *trained_);
  load_parameters(state, "generator", *generator_);
  optimizer_->load(state);
}

std::vector<const ProgramRecord*> Grpo::programs() const {
  if (!given_.empty()) return {&trainer_->program(), &optimizer_->program()};
  return {&engine_->runner(), &trainer_->program(), &optimizer_->program()};
}

int64_t Grpo::sequences_of_step() const {
  return static_cast<int64_t>(prompts_.size()) * arm_.workload.group;
}

// That its logits are divided by; nothing where they stay as they are.
std::optional<double> Grpo::temperature_of_trainer() const {
  if (!trains_processed(arm_.workload)) return std::nullopt;
  return arm_.workload.temperature;
}

// By default every sequence of a run has an id of its own, so no two share random numbers.
int64_t Grpo::draw_id(int64_t step, int64_t sequence) const {
  switch (arm_.workload.draws) {
    case Draws::kPerStep:
      return step * sequences_of_step() + sequence;
    case Draws::kSame:
      return sequence;
    case Draws::kSameForEachPrompt:
      return sequence % arm_.workload.group;
  }
  return 0;
}

// By its generator, or as given.
std::vector<Rollout> Grpo::roll_out(int64_t step, Observer& observer) {
  const WorkloadSettings& settings = arm_.workload;
  const int64_t sequences = sequences_of_step();
  size_t longest = 0;
  for (const auto& prompt : prompts_) longest = std::max(longest, prompt.size());
  const bool is_padded = settings.prompt_padding == PromptPadding::kAttended;
  std::vector<Request> requests;
  for (int64_t i = 0; i < sequences; ++i) {
    const std::vector<int64_t>& prompt = prompts_[i / settings.group];
    requests.push_back(
        {draw_id(step, i), is_padded ? padded(prompt, longest, generator_->config()) : prompt, {}});
  }
  {
    const Observing observing(observer);
    for (size_t i = 0; i < requests.size(); ++i) {
      observer.observe(fmt::format("draw[{}]", i), at::tensor({arm_.seed, requests[i].id}));
    }
  }
  if (!given_.empty()) return rollouts_of_step(given_, step, requests.size(), arm_);
  std::vector<Rollout> rollouts;
  for (Completion& each :
       generate(*engine_, replicas_, requests,
                {arm_.seed, settings.max_new_tokens, settings.temperature, settings.top_k,
                 settings.top_p, /*ignores_ends=*/false, generates_processed(settings)},
                observer)) {
    rollouts.push_back({std::move(each.tokens), std::move(each.logprobs), std::nullopt});
  }
  return rollouts;
}

std::vector<Sample> Grpo::rollout(int64_t step, Observer& observer, std::string& first_text) {
  observer.begin_phase("rollout");
  const WorkloadSettings& settings = arm_.workload;
  const std::vector<Rollout> completions = roll_out(step, observer);
  std::vector<Sample> samples;
  std::vector<float> rewards;
  float reward_sum = 0.0f;
  for (size_t i = 0; i < completions.size(); ++i) {
    const Rollout& completion = completions[i];
    const size_t prompt = i / settings.group;
    const std::string text = tokenizer_.decode(completion.tokens, /*skip_special=*/true);
    rewards.push_back(completion.reward.value_or(
        static_cast<float>(reward_of(text, settings.prompts[prompt].answer))));
    reward_sum += rewards.back();
    if (i == 0) first_text = text;
    observer.observe(fmt::format("completion[{}]", i), at::tensor(completion.tokens));
    observe_logprobs(observer, i, completion.logprobs);
    observer.observe(fmt::format("reward[{}]", i), at::scalar_tensor(rewards.back()));

    std::vector<int64_t> tokens = prompts_[prompt];
    tokens.insert(tokens.end(), completion.tokens.begin(), completion.tokens.end());
    samples.push_back({std::move(tokens), static_cast<int64_t>(prompts_[prompt].size()),
                       completion.logprobs, 0.0f});
  }
  const std::vector<float> advantages =
      advantages_of_step(rewards, settings.group, settings.advantage);
  for (size_t i = 0; i < samples.size(); ++i) samples[i].advantage = advantages[i];
  observer.observe("reward_mean",
                   at::scalar_tensor(reward_sum / static_cast<float>(completions.size())));
  return samples;
}

void Grpo::score_initially(std::vector<Sample>& samples, Observer& observer) const {
  observer.begin_phase("reference");
  const c10::NoGradGuard no_grad;
  for (size_t i = 0; i < samples.size(); ++i) {
    Sample& sample = samples[i];
    if (sample.logprobs.empty()) continue;
    const at::Tensor logprobs =
        sequence_logprobs(*initial_, sample.tokens, sample.prompt_length, temperature_of_trainer());
    const float* values = logprobs.const_data_ptr<float>();
    sample.initial_logprobs.assign(values, values + logprobs.numel());
    observer.observe(fmt::format("initial_logprob[{}]", i), logprobs);
  }
}

void Grpo::train(const std::vector<Sample>& samples, Observer& observer) {
  refuse_padding(samples, trained_->config().padding_id);
  observer.begin_phase("train");
  const TrainResult result = trainer_->accumulate(samples, &observer);
  for (size_t i = 0; i < result.logprobs.size(); ++i) {
    observe_logprobs(observer, i, result.logprobs[i]);
  }
  observer.observe("pg", at::scalar_tensor(result.pg));
  observer.observe("entropy", at::scalar_tensor(result.entropy));
  observer.observe("kl", at::scalar_tensor(result.kl));
  observer.observe("loss", at::scalar_tensor(result.loss));
  observer.observe("clipped", at::scalar_tensor(result.clipped, at::kLong));

  observer.begin_phase("optimizer");
  observe_optimizer(observer, *trained_, *optimizer_);
}

// What is seen of the weights has a phase of its own, so that a sync's time is that of the sync.
void Grpo::sync(Observer& observer) {
  observer.begin_phase("weights");
  observe_weights(observer, *trained_);
  observe_weights(observer, *generator_, "generator.before");
  observer.begin_phase("sync");
  sync_();
  observer.begin_phase("weights");
  observe_weights(observer, *generator_, "generator.after");
  observe_weights(observer, *trained_, "trainer.after");
}

}  // namespace samebits
