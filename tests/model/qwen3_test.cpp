// Qwen3 against Transformers' (tests/oracle/qwen3: data, script, and where the bounds come from),
// and against itself at other TP degrees, where the bound is zero.

#include "harness/model/qwen3.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "harness/base/file.h"
#include "harness/model/checkpoint.h"
#include "tests/support/random_model.h"
#include "tests/support/source_path.h"
#include "tests/support/tensor_file.h"

namespace samebits {
namespace {

using testing::same_bits;
using testing::tensor_in;

constexpr double kUlp = 1.1920928955078125e-07;  // 2^-23
constexpr double kLogitUlps = 16;
constexpr double kGradientUlps = 64;
constexpr int64_t kPredictedTokens = 18;  // of an oracle folder's three sequences

struct Computed {
  std::vector<at::Tensor> logits;                             // [L, V], one a sequence
  std::vector<at::Tensor> logprobs;                           // [L - 1]
  std::vector<std::pair<std::string, at::Tensor>> gradients;  // whole, without padding rows
};

double largest(const at::Tensor& x) { return x.to(at::kDouble).abs().max().item<double>(); }

double distance(const at::Tensor& a, const at::Tensor& b) {
  return largest(a.to(at::kDouble) - b.to(at::kDouble));
}

double root_mean_square(const at::Tensor& a, const at::Tensor& b) {
  return std::sqrt((a.to(at::kDouble) - b.to(at::kDouble)).square().mean().item<double>());
}

class Qwen3Oracle : public ::testing::TestWithParam<const char*> {
 protected:
  std::filesystem::path folder_ =
      std::filesystem::path(source_path("tests/oracle/qwen3")) / GetParam();
  DecoderConfig config_ = decoder_config_from_folder(folder_);
  Weights weights_ = load_checkpoint(folder_, config_);
  SafetensorsFile expected_{(folder_ / "expected.safetensors").string()};
  std::vector<std::vector<int64_t>> ids_ =
      nlohmann::json::parse(read_text_file((folder_ / "ids.json").string()))
          .get<std::vector<std::vector<int64_t>>>();

  Computed compute(at::ScalarType dtype, int64_t tp) const {
    Numerics numerics;
    numerics.dtype = dtype;
    const TensorParallel parallel =
        tp == 1 ? TensorParallel() : TensorParallel(make_local_mesh(tp));
    Qwen3 model(config_, numerics, parallel, weights_);
    for (Parameter& parameter : model.parameters()) parameter.tensor.requires_grad_(true);
    Computed computed;
    for (const std::vector<int64_t>& sequence : ids_) {
      const int64_t length = static_cast<int64_t>(sequence.size());
      const at::Tensor ids = at::tensor(sequence).view({1, length});
      const ContiguousAttention attention(numerics, at::tensor({int64_t{0}, length}, at::kInt),
                                          model.attention_scale());
      const at::Tensor logits = model.forward(ids, at::arange(length).view({1, length}), attention);
      const at::Tensor logprobs = numerics.log_softmax_gather(
          logits.narrow(1, 0, length - 1).contiguous(), ids.narrow(1, 1, length - 1).contiguous(),
          config_.vocab_size);
      (-logprobs.sum() / kPredictedTokens).backward();
      computed.logits.push_back(
          logits.detach().narrow(2, 0, config_.vocab_size).reshape({length, -1}));
      computed.logprobs.push_back(logprobs.detach().view({length - 1}));
    }
    for (const Parameter& parameter : model.parameters()) {
      const at::Tensor gradient = parallel.to_plain(parameter.tensor.grad());
      computed.gradients.push_back(
          {parameter.name, gradient.narrow(0, 0, weights_.at(parameter.name).size(0))});
    }
    return computed;
  }

  // The worst distances from Transformers, in ULP of the largest.
  double logit_ulps(const Computed& computed) const {
    double worst = 0;
    for (size_t i = 0; i < ids_.size(); ++i) {
      const at::Tensor expected = tensor_in(expected_, "float32.logits." + std::to_string(i));
      worst = std::max(worst, distance(computed.logits[i], expected) / (kUlp * largest(expected)));
    }
    return worst;
  }
  double gradient_ulps(const Computed& computed) const {
    double worst = 0;
    for (const auto& [name, gradient] : computed.gradients) {
      const at::Tensor expected = tensor_in(expected_, "float32.grad." + name);
      worst = std::max(worst, distance(gradient, expected) / (kUlp * largest(expected)));
    }
    return worst;
  }

  std::vector<int64_t> degrees() const {
    std::vector<int64_t> all;
    for (const int64_t tp : {2, 4, 8}) {
      if (config_.num_key_value_heads % tp == 0 && config_.num_attention_heads % tp == 0) {
        all.push_back(tp);
      }
    }
    return all;
  }
};

TEST_P(Qwen3Oracle, Float32LogitsAndGradientsAreTransformers) {
  const Computed computed = compute(at::kFloat, 1);
  EXPECT_LE(logit_ulps(computed), kLogitUlps);
  EXPECT_LE(gradient_ulps(computed), kGradientUlps);
}

TEST_P(Qwen3Oracle, ASlightlyOtherModelIsOutsideTheBounds) {
  weights_.at("model.norm.weight") = weights_.at("model.norm.weight").to(at::kFloat) * 1.0001;
  const Computed computed = compute(at::kFloat, 1);
  EXPECT_GT(logit_ulps(computed), kLogitUlps);
  EXPECT_GT(gradient_ulps(computed), kGradientUlps);
}

// As far from exact logits as Transformers' own bfloat16 is, times two for the chance of one draw.
TEST_P(Qwen3Oracle, Bfloat16LogitsAreAsCloseAsTransformers) {
  const Computed computed = compute(at::kBFloat16, 1);
  double worst = 0, worst_rms = 0, bound = 0, bound_rms = 0;
  for (size_t i = 0; i < ids_.size(); ++i) {
    const std::string index = std::to_string(i);
    const std::string exact_name = "bfloat16.exact_logits." + index;
    const at::Tensor exact =
        tensor_in(expected_, expected_.find(exact_name) ? exact_name : "float32.logits." + index);
    const at::Tensor peer = tensor_in(expected_, "bfloat16.logits." + index);
    worst = std::max(worst, distance(computed.logits[i], exact));
    bound = std::max(bound, distance(peer, exact));
    worst_rms = std::max(worst_rms, root_mean_square(computed.logits[i], exact));
    bound_rms = std::max(bound_rms, root_mean_square(peer, exact));
  }
  EXPECT_LE(worst, 2 * bound);
  EXPECT_LE(worst_rms, 2 * bound_rms);
  EXPECT_GT(worst, 0.0);
}

TEST_P(Qwen3Oracle, EveryTpDegreeGivesTheSameBits) {
  for (const at::ScalarType dtype : {at::kBFloat16, at::kFloat}) {
    const Computed one = compute(dtype, 1);
    for (const int64_t tp : degrees()) {
      const Computed other = compute(dtype, tp);
      for (size_t i = 0; i < ids_.size(); ++i) {
        EXPECT_TRUE(same_bits(one.logits[i], other.logits[i])) << "tp " << tp << ", logits " << i;
        EXPECT_TRUE(same_bits(one.logprobs[i], other.logprobs[i])) << "tp " << tp;
      }
      for (size_t i = 0; i < one.gradients.size(); ++i) {
        EXPECT_TRUE(same_bits(one.gradients[i].second, other.gradients[i].second))
            << "tp " << tp << ", " << one.gradients[i].first;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Folders, Qwen3Oracle,
                         ::testing::Values("odd_untied", "one_layer_tied", "two_files", "wide_head",
                                           "eight_heads"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace samebits
