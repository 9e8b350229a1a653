// Decode steps of a model as wide as Qwen3-0.6B, on a card: a full graph of fused operators against
// the model's own code, at batch sizes that choose other kernels, and against the CPU.

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "harness/kernels/device.h"
#include "harness/model/qwen3.h"
#include "harness/workload/step_runner.h"
#include "tests/support/random_model.h"

namespace samebits {
namespace {

using testing::random_weights;
using testing::same_bits;

constexpr int64_t kBlockSize = 16;
constexpr int64_t kPages = 6;  // of each sequence
constexpr int64_t kKeys = 70;  // that they hold before the first step
constexpr int64_t kSteps = 3;

DecoderConfig wide_config() {
  DecoderConfig config = testing::small_config();
  config.vocab_size = 3001;
  config.hidden_size = 1024;
  config.num_attention_heads = 16;
  config.num_key_value_heads = 8;
  config.head_dim = 128;
  config.intermediate_size = 3072;
  return config;
}

// One token each, of sequences of different lengths.
StepInputs step_of(int64_t sequences, int64_t step) {
  const at::Tensor of_each = at::arange(sequences);
  const at::Tensor positions = kKeys + step - of_each % 5;
  const at::Tensor table = at::arange(sequences * kPages).flip(0).view({sequences, kPages});
  const at::Tensor page = table.gather(1, (positions / kBlockSize).to(at::kLong).unsqueeze(1));
  return {((of_each * 7 + step * 3) % 3001).view({1, -1}),
          positions.view({1, -1}),
          page.squeeze(1) * kBlockSize + positions % kBlockSize,
          table.to(at::kInt),
          at::arange(sequences + 1).to(at::kInt),
          (positions + 1).to(at::kInt),
          of_each,
          at::stack({of_each, positions}, 1)};
}

// What some steps give and leave in the cache.
struct Steps {
  std::vector<at::Tensor> values;
  int64_t replays = 0;

  bool operator==(const Steps& other) const {
    for (size_t i = 0; i < values.size(); ++i) {
      if (!same_bits(values[i], other.values[i])) return false;
    }
    return values.size() == other.values.size();
  }
};

Steps run_steps(const Decoder& model, int64_t sequences, const Mode& mode, c10::Device device) {
  const DecoderConfig& config = model.config();
  KvCache cache(config, 1, sequences * kPages, kBlockSize, at::kBFloat16, device);
  const at::Generator generator = at::detail::createCPUGenerator(7);
  for (int64_t layer = 0; layer < config.num_hidden_layers; ++layer) {
    for (const at::Tensor& rows : {cache.page(layer, 0).k, cache.page(layer, 0).v}) {
      rows.copy_(at::randn(rows.sizes(), generator));
    }
  }
  StepRunner runner(model, cache, mode, sequences);
  const Selection selection{/*forced=*/false, /*seed=*/1, /*temperature=*/1.0, 0, 1.0};
  Steps found;
  for (int64_t step = 0; step < kSteps; ++step) {
    const StepOutputs outputs = runner.run(step_of(sequences, step), selection);
    found.values.push_back(outputs.tokens);
    found.values.push_back(outputs.logprobs);
  }
  for (int64_t layer = 0; layer < config.num_hidden_layers; ++layer) {
    found.values.push_back(cache.page(layer, 0).k.cpu());
    found.values.push_back(cache.page(layer, 0).v.cpu());
  }
  found.replays = runner.witness().replays;
  return found;
}

class FusedDecodeTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const std::string reason = why_no_cuda(); !reason.empty()) GTEST_SKIP() << reason;
    weights_ = random_weights(config_, /*seed=*/3);
  }
  Qwen3 model_on(c10::Device device) const {
    Weights there;
    for (const auto& [name, weight] : weights_) there[name] = weight.to(device);
    return {config_, Numerics(), TensorParallel(), there};
  }

  DecoderConfig config_ = wide_config();
  Weights weights_;
};

TEST_F(FusedDecodeTest, HasTheBitsOfTheModelsOwnCode) {
  const Qwen3 model = model_on(at::kCUDA);
  for (const int64_t sequences : {1, 3, 8, 16, 17, 40, 49}) {
    const Steps eager = run_steps(model, sequences, {}, at::kCUDA);
    for (const std::vector<GraphPass>& passes :
         {std::vector<GraphPass>{}, std::vector<GraphPass>{GraphPass::kFuse}}) {
      const Steps graph = run_steps(
          model, sequences, {Execution::kFullGraph, GuardPolicy::kDrop, passes, {}, {sequences}},
          at::kCUDA);
      EXPECT_EQ(graph, eager) << fmt::format("{} sequences, {} passes", sequences, passes.size());
      EXPECT_GE(graph.replays, kSteps - 1);
    }
  }
}

TEST_F(FusedDecodeTest, HasTheBitsOfTheCpu) {
  const Mode fused{Execution::kFullGraph, GuardPolicy::kDrop, {GraphPass::kFuse}, {}, {3}};
  const Steps card = run_steps(model_on(at::kCUDA), 3, fused, at::kCUDA);
  EXPECT_EQ(run_steps(model_on(at::kCPU), 3, {}, at::kCPU), card);
  weights_["model.layers.1.mlp.down_proj.weight"][5][7] += 1;  // the control
  EXPECT_FALSE(run_steps(model_on(at::kCUDA), 3, fused, at::kCUDA) == card);
}

}  // namespace
}  // namespace samebits
