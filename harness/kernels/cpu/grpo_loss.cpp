#include "harness/kernels/grpo_loss.h"

#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <algorithm>
#include <array>
#include <vector>

#include "harness/kernels/cpu/math.h"
#include "harness/kernels/cpu/starts.h"
#include "harness/kernels/cpu/tensors.h"

namespace samebits {
namespace {

struct Settings {
  float sequences;
  float tokens;
  float low;  // of the clamp
  float high;
  float entropy;
  float kl;
};

Settings checked(const char* op, const at::Tensor& logprobs, const at::Tensor& reference,
                 const at::Tensor& starts, const at::Tensor& advantage, const at::Tensor& tokens,
                 int64_t sequences, double clip, double entropy, double kl) {
  TORCH_CHECK(logprobs.dim() == 1, op, ": logprobs has shape ", logprobs.sizes(),
              ", expected one dimension");
  check_dtype(op, "logprobs", logprobs, at::kFloat);
  check_like(op, "reference", reference, logprobs);
  TORCH_CHECK(starts.dim() == 1 && starts.size(0) >= 1, op, ": starts has shape ", starts.sizes(),
              ", expected [sequences + 1]");
  check_sizes(op, "advantage", advantage, {starts.size(0) - 1});
  check_dtype(op, "advantage", advantage, at::kFloat);
  check_sizes(op, "tokens", tokens, {});
  check_dtype(op, "tokens", tokens, at::kLong);
  TORCH_CHECK(sequences >= 1, op, ": found ", sequences, " sequences, expected 1 or more");
  const int64_t step_tokens = *elements<int64_t>(tokens);
  TORCH_CHECK(step_tokens >= logprobs.size(0), op, ": found ", step_tokens,
              " tokens in the step, expected at least the ", logprobs.size(0), " of this call");
  const float clip_f = static_cast<float>(clip);
  return {
      static_cast<float>(sequences), static_cast<float>(step_tokens), 1.0f - clip_f, 1.0f + clip_f,
      static_cast<float>(entropy),   static_cast<float>(kl)};
}

float ascending_sum(const float* first, const float* end) {
  float sum = 0.0f;
  for (; first != end; ++first) sum = sum + *first;
  return sum;
}

// NaN stays NaN, as in torch.
float clamp(float x, float low, float high) { return x < low ? low : x > high ? high : x; }
float minimum(float x, float y) { return x != x || x < y ? x : y; }

std::tuple<at::Tensor, at::Tensor> grpo_loss(const at::Tensor& logprobs_in,
                                             const at::Tensor& reference_in,
                                             const at::Tensor& starts,
                                             const at::Tensor& advantage_in,
                                             const at::Tensor& tokens, int64_t sequences,
                                             double clip, double entropy, double kl) {
  const Settings s = checked("grpo_loss", logprobs_in, reference_in, starts, advantage_in, tokens,
                             sequences, clip, entropy, kl);
  const at::Tensor logprobs = logprobs_in.contiguous();
  const at::Tensor reference = reference_in.contiguous();
  const at::Tensor advantages = advantage_in.contiguous();
  const std::vector<int64_t> firsts = checked_starts("grpo_loss", starts, logprobs.size(0));
  at::Tensor losses = at::empty(advantages.sizes(), logprobs.options());
  at::Tensor stats = at::empty({advantages.size(0), 6}, logprobs.options());
  for (size_t i = 0; i + 1 < firsts.size(); ++i) {
    const float advantage = elements<float>(advantages)[i];
    const auto sum_of = [&](const at::Tensor& x) {
      return ascending_sum(elements<float>(x) + firsts[i], elements<float>(x) + firsts[i + 1]);
    };
    const float sum = sum_of(logprobs);
    const float reference_sum = sum_of(reference);
    const float d = sum - reference_sum;
    const float ratio = exp_f32(d);
    const float pg =
        -minimum(ratio * advantage, clamp(ratio, s.low, s.high) * advantage) / s.sequences;
    const float entropy_share = s.tokens == 0.0f ? 0.0f : (0.0f - sum) / s.tokens;
    const float kl_share = ((ratio - 1.0f) - d) / s.sequences;
    const std::array<float, 6> values = {sum, reference_sum, ratio, pg, entropy_share, kl_share};
    mutable_elements<float>(losses)[i] =
        canonical_nan_f32((pg - s.entropy * entropy_share) + s.kl * kl_share);
    std::transform(values.begin(), values.end(), mutable_elements<float>(stats) + i * values.size(),
                   [](float x) { return canonical_nan_f32(x); });
  }
  return {losses, stats};
}

// d(-pg * sequences) / d(ratio), over the advantage.
float share_of_gradient(float ratio, float advantage, const Settings& s) {
  const float plain = ratio * advantage;
  const float clamped = clamp(ratio, s.low, s.high) * advantage;
  if (plain < clamped) return 1.0f;
  if (plain == clamped) return ratio >= s.low && ratio <= s.high ? 1.0f : 0.5f;
  return plain > clamped ? 0.0f : f32_from_bits(kNanF32);
}

at::Tensor grpo_loss_backward(const at::Tensor& dloss_in, const at::Tensor& logprobs_in,
                              const at::Tensor& reference_in, const at::Tensor& starts,
                              const at::Tensor& advantage_in, const at::Tensor& tokens,
                              int64_t sequences, double clip, double entropy, double kl) {
  const Settings s = checked("grpo_loss_backward", logprobs_in, reference_in, starts, advantage_in,
                             tokens, sequences, clip, entropy, kl);
  check_like("grpo_loss_backward", "dloss", dloss_in, advantage_in);
  const at::Tensor dloss = dloss_in.contiguous();
  const at::Tensor logprobs = logprobs_in.contiguous();
  const at::Tensor reference = reference_in.contiguous();
  const at::Tensor advantages = advantage_in.contiguous();
  const std::vector<int64_t> firsts =
      checked_starts("grpo_loss_backward", starts, logprobs.size(0));
  at::Tensor dlogprobs = at::empty(logprobs.sizes(), logprobs.options());
  for (size_t i = 0; i + 1 < firsts.size(); ++i) {
    const int64_t first = firsts[i];
    const int64_t end = firsts[i + 1];
    if (first == end) continue;
    const float advantage = elements<float>(advantages)[i];
    const auto sum_of = [&](const at::Tensor& x) {
      return ascending_sum(elements<float>(x) + first, elements<float>(x) + end);
    };
    const float ratio = exp_f32(sum_of(logprobs) - sum_of(reference));
    const float share = share_of_gradient(ratio, advantage, s);
    const float from_pg = s.entropy / s.tokens - ((share * advantage) * ratio) / s.sequences;
    const float gradient =
        elements<float>(dloss)[i] * (from_pg + (s.kl * (ratio - 1.0f)) / s.sequences);
    std::fill_n(mutable_elements<float>(dlogprobs) + first, end - first,
                canonical_nan_f32(gradient));
  }
  return dlogprobs;
}

TORCH_LIBRARY_IMPL(samebits, CPU, m) {
  m.impl("grpo_loss", grpo_loss);
  m.impl("grpo_loss_backward", grpo_loss_backward);
}

}  // namespace
}  // namespace samebits
