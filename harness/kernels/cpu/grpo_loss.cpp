#include "harness/kernels/grpo_loss.h"

#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <algorithm>
#include <array>
#include <vector>

#include "harness/dispatch/launch.h"
#include "harness/kernels/cpu/math.h"
#include "harness/kernels/cpu/starts.h"
#include "harness/kernels/cpu/tensors.h"

namespace samebits {
namespace {

// What both kernels read, as a launch holds it.
struct Loss {
  const char* op;
  const float* logprobs;
  const float* reference;
  int64_t rows;  // of both
  Starts starts;
  const float* advantage;
  const int64_t* tokens;  // of the step
  float sequences;
  float low;  // of the clamp
  float high;
  float entropy;
  float kl;
};

// The tensors that it points into, until the launch is made.
struct LossTensors {
  at::Tensor logprobs;
  at::Tensor reference;
  at::Tensor starts;
  at::Tensor advantage;
  at::Tensor tokens;
  Loss loss;
};

LossTensors checked(const char* op, const at::Tensor& logprobs, const at::Tensor& reference,
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
  const float clip_f = static_cast<float>(clip);
  LossTensors x{logprobs.contiguous(),  reference.contiguous(), contiguous_starts(starts),
                advantage.contiguous(), tokens.contiguous(),    {}};
  x.loss = {op,
            elements<float>(x.logprobs),
            elements<float>(x.reference),
            logprobs.size(0),
            starts_of(op, x.starts, logprobs.size(0)),
            elements<float>(x.advantage),
            elements<int64_t>(x.tokens),
            static_cast<float>(sequences),
            1.0f - clip_f,
            1.0f + clip_f,
            static_cast<float>(entropy),
            static_cast<float>(kl)};
  return x;
}

// Where the sequences begin, and the end; with the step's tokens checked, too.
std::vector<int64_t> checked_firsts(const Loss& x) {
  std::vector<int64_t> firsts = checked_groups(x.op, x.starts)[0];
  TORCH_CHECK(*x.tokens >= firsts.back(), x.op, ": found ", *x.tokens,
              " tokens in the step, expected at least the ", firsts.back(), " of this call");
  return firsts;
}

float ascending_sum(const float* first, const float* end) {
  float sum = 0.0f;
  for (; first != end; ++first) sum = sum + *first;
  return sum;
}

// NaN stays NaN, as in torch.
float clamp(float x, float low, float high) { return x < low ? low : x > high ? high : x; }
float minimum(float x, float y) { return x != x || x < y ? x : y; }

void run(const Loss& x, float* losses, float* stats) {
  const std::vector<int64_t> firsts = checked_firsts(x);
  const auto tokens = static_cast<float>(*x.tokens);
  for (size_t i = 0; i + 1 < firsts.size(); ++i) {
    const float advantage = x.advantage[i];
    const float sum = ascending_sum(x.logprobs + firsts[i], x.logprobs + firsts[i + 1]);
    const float reference_sum = ascending_sum(x.reference + firsts[i], x.reference + firsts[i + 1]);
    const float d = sum - reference_sum;
    const float ratio = exp_f32(d);
    const float pg =
        -minimum(ratio * advantage, clamp(ratio, x.low, x.high) * advantage) / x.sequences;
    const float entropy_share = tokens == 0.0f ? 0.0f : (0.0f - sum) / tokens;
    const float kl_share = ((ratio - 1.0f) - d) / x.sequences;
    const std::array<float, 6> values = {sum, reference_sum, ratio, pg, entropy_share, kl_share};
    losses[i] = canonical_nan_f32((pg - x.entropy * entropy_share) + x.kl * kl_share);
    std::transform(values.begin(), values.end(), stats + i * values.size(),
                   [](float value) { return canonical_nan_f32(value); });
  }
}

std::tuple<at::Tensor, at::Tensor> grpo_loss(const at::Tensor& logprobs,
                                             const at::Tensor& reference, const at::Tensor& starts,
                                             const at::Tensor& advantage, const at::Tensor& tokens,
                                             int64_t sequences, double clip, double entropy,
                                             double kl) {
  const LossTensors x = checked("grpo_loss", logprobs, reference, starts, advantage, tokens,
                                sequences, clip, entropy, kl);
  at::Tensor losses = at::empty(advantage.sizes(), logprobs.options());
  at::Tensor stats = at::empty({advantage.size(0), 6}, logprobs.options());
  launch("grpo_loss", [loss = x.loss, to = mutable_elements<float>(losses),
                       parts = mutable_elements<float>(stats)] { run(loss, to, parts); });
  return {losses, stats};
}

// d(-pg * sequences) / d(ratio), over the advantage.
float share_of_gradient(float ratio, float advantage, const Loss& x) {
  const float plain = ratio * advantage;
  const float clamped = clamp(ratio, x.low, x.high) * advantage;
  if (plain < clamped) return 1.0f;
  if (plain == clamped) return ratio >= x.low && ratio <= x.high ? 1.0f : 0.5f;
  return plain > clamped ? 0.0f : f32_from_bits(kNanF32);
}

void run_backward(const Loss& x, const float* dloss, float* dlogprobs) {
  const std::vector<int64_t> firsts = checked_firsts(x);
  const auto tokens = static_cast<float>(*x.tokens);
  for (size_t i = 0; i + 1 < firsts.size(); ++i) {
    const int64_t first = firsts[i];
    const int64_t end = firsts[i + 1];
    if (first == end) continue;
    const float advantage = x.advantage[i];
    const float ratio = exp_f32(ascending_sum(x.logprobs + first, x.logprobs + end) -
                                ascending_sum(x.reference + first, x.reference + end));
    const float share = share_of_gradient(ratio, advantage, x);
    const float from_pg = x.entropy / tokens - ((share * advantage) * ratio) / x.sequences;
    const float gradient = dloss[i] * (from_pg + (x.kl * (ratio - 1.0f)) / x.sequences);
    std::fill_n(dlogprobs + first, end - first, canonical_nan_f32(gradient));
  }
  std::fill(dlogprobs + firsts.back(), dlogprobs + x.rows, 0.0f);
}

at::Tensor grpo_loss_backward(const at::Tensor& dloss_in, const at::Tensor& logprobs,
                              const at::Tensor& reference, const at::Tensor& starts,
                              const at::Tensor& advantage, const at::Tensor& tokens,
                              int64_t sequences, double clip, double entropy, double kl) {
  const LossTensors x = checked("grpo_loss_backward", logprobs, reference, starts, advantage,
                                tokens, sequences, clip, entropy, kl);
  check_like("grpo_loss_backward", "dloss", dloss_in, advantage);
  const at::Tensor dloss = dloss_in.contiguous();
  at::Tensor dlogprobs = at::empty(logprobs.sizes(), logprobs.options());
  launch("grpo_loss_backward",
         [loss = x.loss, dloss = elements<float>(dloss), to = mutable_elements<float>(dlogprobs)] {
           run_backward(loss, dloss, to);
         });
  return dlogprobs;
}

TORCH_LIBRARY_IMPL(samebits, CPU, m) {
  m.impl("grpo_loss", grpo_loss);
  m.impl("grpo_loss_backward", grpo_loss_backward);
}

}  // namespace
}  // namespace samebits
