#include "harness/workload/score.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include <algorithm>

#include "harness/workload/grpo.h"
#include "harness/workload/observed_values.h"
#include "harness/workload/trainer.h"

namespace samebits {

Score::Score(const ArmSettings& arm, World* world)
    : arm_(arm),
      prompts_(encode_prompts(arm, Tokenizer::from_folder(arm.model))),
      replicas_(make_replicas(world)),
      model_(make_model(arm, arm.generator, make_parallel(arm, world))) {
  size_t longest = 0;
  for (const auto& prompt : prompts_) longest = std::max(longest, prompt.size());
  const int64_t sequences = static_cast<int64_t>(prompts_.size()) * arm.workload.group;
  engine_ = make_engine(arm, *model_, replicas_.largest_share(sequences),
                        static_cast<int64_t>(longest) + arm.workload.max_new_tokens);
}

std::string Score::step(int64_t step, Observer& observer) {
  const WorkloadSettings& settings = arm_.workload;
  const int64_t sequences = static_cast<int64_t>(prompts_.size()) * settings.group;

  if (step == 0) {  // nothing trains them here: a weight that no logprob shows is seen all the same
    observer.begin_phase("weights");
    observe_weights(observer, *model_);
  }
  observer.begin_phase("rollout");
  std::vector<Request> requests;
  for (int64_t i = 0; i < sequences; ++i) {
    requests.push_back({step * sequences + i, prompts_[i / settings.group], {}});
  }
  const std::vector<Completion> completions = generate(
      *engine_, replicas_, requests,
      {arm_.seed, settings.max_new_tokens, settings.temperature, settings.top_k, settings.top_p},
      observer);
  {
    const Observing observing(observer);
    for (size_t i = 0; i < completions.size(); ++i) {
      observer.observe(fmt::format("completion[{}]", i), at::tensor(completions[i].tokens));
    }
  }

  observer.begin_phase("score");
  const auto logprobs = settings.kind == WorkloadKind::kPrefill
                            ? prefill(completions)
                            : decode(requests, completions, observer);
  for (size_t i = 0; i < logprobs.size(); ++i) {
    observe_logprobs(observer, i, logprobs[i]);
  }
  return "";
}

std::vector<std::vector<float>> Score::prefill(const std::vector<Completion>& completions) const {
  const c10::NoGradGuard no_grad;
  std::vector<std::vector<float>> all;
  for (size_t i = 0; i < completions.size(); ++i) {
    std::vector<int64_t> tokens = prompts_[i / arm_.workload.group];
    const int64_t first = static_cast<int64_t>(tokens.size());
    tokens.insert(tokens.end(), completions[i].tokens.begin(), completions[i].tokens.end());
    const at::Tensor logprobs = sequence_logprobs(*model_, tokens, first);
    const float* values = logprobs.const_data_ptr<float>();
    all.emplace_back(values, values + logprobs.numel());
  }
  return all;
}

std::vector<std::vector<float>> Score::decode(const std::vector<Request>& requests,
                                              const std::vector<Completion>& completions,
                                              Observer& observer) {
  std::vector<Request> forced = requests;
  for (size_t i = 0; i < forced.size(); ++i) forced[i].forced = completions[i].tokens;
  std::vector<std::vector<float>> all;
  for (Completion& scored : generate(*engine_, replicas_, forced, {}, observer)) {
    all.push_back(std::move(scored.logprobs));
  }
  return all;
}

}  // namespace samebits
