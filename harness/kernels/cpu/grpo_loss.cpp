#include "harness/kernels/grpo_loss.h"

#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <array>

#include "harness/kernels/cpu/math.h"
#include "harness/kernels/cpu/tensors.h"

namespace samebits {
namespace {

struct Settings {
  float advantage;
  float sequences;
  float tokens;
  float low;  // of the clamp
  float high;
  float entropy;
  float kl;
};

Settings checked(const char* op, const at::Tensor& logprobs, const at::Tensor& reference,
                 const at::Tensor& advantage, const at::Tensor& tokens, int64_t sequences,
                 double clip, double entropy, double kl) {
  TORCH_CHECK(logprobs.dim() == 1, op, ": logprobs has shape ", logprobs.sizes(),
              ", expected one dimension");
  check_dtype(op, "logprobs", logprobs, at::kFloat);
  check_like(op, "reference", reference, logprobs);
  check_sizes(op, "advantage", advantage, {});
  check_dtype(op, "advantage", advantage, at::kFloat);
  check_sizes(op, "tokens", tokens, {});
  check_dtype(op, "tokens", tokens, at::kLong);
  TORCH_CHECK(sequences >= 1, op, ": found ", sequences, " sequences, expected 1 or more");
  const int64_t step_tokens = *elements<int64_t>(tokens);
  TORCH_CHECK(step_tokens >= logprobs.size(0), op, ": found ", step_tokens,
              " tokens in the step, expected at least this sequence's ", logprobs.size(0));
  const float clip_f = static_cast<float>(clip);
  return {*elements<float>(advantage),
          static_cast<float>(sequences),
          static_cast<float>(step_tokens),
          1.0f - clip_f,
          1.0f + clip_f,
          static_cast<float>(entropy),
          static_cast<float>(kl)};
}

float ascending_sum(const at::Tensor& x) {
  const at::Tensor contiguous = x.contiguous();
  const float* value = elements<float>(contiguous);
  float sum = 0.0f;
  for (int64_t i = 0; i < contiguous.numel(); ++i) sum = sum + value[i];
  return sum;
}

// NaN stays NaN, as in torch.
float clamp(float x, float low, float high) { return x < low ? low : x > high ? high : x; }
float minimum(float x, float y) { return x != x || x < y ? x : y; }

std::tuple<at::Tensor, at::Tensor> grpo_loss(const at::Tensor& logprobs,
                                             const at::Tensor& reference,
                                             const at::Tensor& advantage, const at::Tensor& tokens,
                                             int64_t sequences, double clip, double entropy,
                                             double kl) {
  const Settings s =
      checked("grpo_loss", logprobs, reference, advantage, tokens, sequences, clip, entropy, kl);
  const float sum = ascending_sum(logprobs);
  const float reference_sum = ascending_sum(reference);
  const float d = sum - reference_sum;
  const float ratio = exp_f32(d);
  const float pg =
      -minimum(ratio * s.advantage, clamp(ratio, s.low, s.high) * s.advantage) / s.sequences;
  const float entropy_share = s.tokens == 0.0f ? 0.0f : (0.0f - sum) / s.tokens;
  const float kl_share = ((ratio - 1.0f) - d) / s.sequences;
  const std::array<float, 6> values = {sum, reference_sum, ratio, pg, entropy_share, kl_share};
  at::Tensor loss = at::empty({}, logprobs.options());
  at::Tensor stats = at::empty({6}, logprobs.options());
  *mutable_elements<float>(loss) =
      canonical_nan_f32((pg - s.entropy * entropy_share) + s.kl * kl_share);
  std::transform(values.begin(), values.end(), mutable_elements<float>(stats),
                 [](float x) { return canonical_nan_f32(x); });
  return {loss, stats};
}

// d(-pg * sequences) / d(ratio), over the advantage.
float share_of_gradient(float ratio, const Settings& s) {
  const float plain = ratio * s.advantage;
  const float clamped = clamp(ratio, s.low, s.high) * s.advantage;
  if (plain < clamped) return 1.0f;
  if (plain == clamped) return ratio >= s.low && ratio <= s.high ? 1.0f : 0.5f;
  return plain > clamped ? 0.0f : f32_from_bits(kNanF32);
}

at::Tensor grpo_loss_backward(const at::Tensor& dloss, const at::Tensor& logprobs,
                              const at::Tensor& reference, const at::Tensor& advantage,
                              const at::Tensor& tokens, int64_t sequences, double clip,
                              double entropy, double kl) {
  const Settings s = checked("grpo_loss_backward", logprobs, reference, advantage, tokens,
                             sequences, clip, entropy, kl);
  check_sizes("grpo_loss_backward", "dloss", dloss, {});
  check_dtype("grpo_loss_backward", "dloss", dloss, at::kFloat);
  at::Tensor dlogprobs = at::empty(logprobs.sizes(), logprobs.options());
  if (logprobs.size(0) == 0) return dlogprobs;
  const float ratio = exp_f32(ascending_sum(logprobs) - ascending_sum(reference));
  const float share = share_of_gradient(ratio, s);
  const float from_pg = s.entropy / s.tokens - ((share * s.advantage) * ratio) / s.sequences;
  const float gradient =
      *elements<float>(dloss) * (from_pg + (s.kl * (ratio - 1.0f)) / s.sequences);
  std::fill_n(mutable_elements<float>(dlogprobs), dlogprobs.numel(), canonical_nan_f32(gradient));
  return dlogprobs;
}

TORCH_LIBRARY_IMPL(samebits, CPU, m) {
  m.impl("grpo_loss", grpo_loss);
  m.impl("grpo_loss_backward", grpo_loss_backward);
}

}  // namespace
}  // namespace samebits
