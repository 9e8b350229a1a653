#include "harness/workload/trainer.h"

#include <ATen/ATen.h>

#include <numeric>

#include "harness/kernels/functional.h"
#include "harness/model/attention.h"

namespace samebits {

at::Tensor sequence_logprobs(const Qwen3& model, const std::vector<int64_t>& tokens,
                             int64_t first) {
  TORCH_CHECK(first > 0, "the first token of a sequence has no logprob");
  const int64_t length = static_cast<int64_t>(tokens.size());
  const at::Tensor ids = at::tensor(tokens);
  const at::Tensor boundaries = at::tensor({int64_t{0}, length}, at::kInt);
  const ContiguousAttention attention(model.numerics(), boundaries, model.attention_scale());
  const at::Tensor logits =
      model.forward(ids.view({1, length}), at::arange(length).view({1, length}), attention,
                    /*rows=*/at::arange(first - 1, length - 1));
  const at::Tensor targets = ids.narrow(0, first, length - first).contiguous();
  return model.numerics()
      .log_softmax_gather(logits, targets.view({1, length - first}), model.config().vocab_size)
      .view({length - first});
}

TrainResult accumulate_gradients(Qwen3& model, Optimizer& optimizer,
                                 const std::vector<Sample>& samples, const LossSettings& settings) {
  int64_t tokens = 0;
  for (const Sample& sample : samples) tokens += static_cast<int64_t>(sample.logprobs.size());

  TrainResult result;
  for (const Sample& sample : samples) {
    if (sample.logprobs.empty()) {
      result.logprobs.emplace_back();
      continue;
    }
    const at::Tensor logprobs = sequence_logprobs(model, sample.tokens, sample.prompt_length);
    const auto [loss, stats] = ops::grpo_loss(
        logprobs, at::tensor(sample.logprobs), sample.advantage,
        static_cast<int64_t>(samples.size()), tokens, settings.clip, settings.entropy, settings.kl);
    loss.backward();
    optimizer.accumulate();

    const float* parts = stats.const_data_ptr<float>();  // L, R, ratio, pg, entropy, kl
    result.loss += loss.item<float>();
    result.pg += parts[3];
    result.entropy += parts[4];
    result.kl += parts[5];
    const float* values = logprobs.const_data_ptr<float>();
    result.logprobs.emplace_back(values, values + logprobs.numel());
  }
  return result;
}

}  // namespace samebits
