#include "harness/workload/token_training.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <map>

#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/case/case.h"
#include "tests/base/message_of.h"
#include "tests/support/scratch.h"
#include "tests/support/source_path.h"

namespace samebits {
namespace {

using ::testing::HasSubstr;

class Told : public Observer {
 public:
  void begin_phase(const std::string&) override {}
  void observe(const std::string& site, const at::Tensor& value) override {
    values[site] = value.detach().clone();
  }
  std::map<std::string, at::Tensor> values;
};

class TokenTrainingTest : public testing::Scratch {
 protected:
  CaseArm arm(const std::string& tokens, const std::string& keys = "") {
    const std::filesystem::path file = folder_ / "tokens.json";
    write_text_file(file.string(), tokens);
    const std::string text =
        R"({"name": "c", "model": ")" + source_path("cases/models/tiny") + R"(", "arms": {"a": {}},
            "numerics": {"dtype": "float32"},
            "workload": {"name": "train", "sequences": 2, "tokens": ")";
    return parse_case(text + file.string() + "\"" + keys + "}}", "c.json").arms[0];
  }
  std::string refusal(const std::string& tokens) {
    return message_of<InputError>([&] { check_arm(arm(tokens)); });
  }
};

const char* const kTokens = "[[1, 2, 3, 4, 5], [9, 8, 7], [20, 30, 40, 50]]";

// The mean negative log-likelihood, by autograd over LibTorch's own sum.
TEST_F(TokenTrainingTest, LossAndGradientAreThoseOfTheMeanNegativeLogLikelihood) {
  const CaseArm a = arm(kTokens);
  TokenTraining training(a);
  Told told;
  training.step(0, told);

  const auto model = make_model(a, a.trainer, make_parallel(a));
  std::vector<at::Tensor> weights;
  for (Parameter& parameter : model->parameters()) {
    parameter.tensor.requires_grad_(true);
    weights.push_back(parameter.tensor);
  }
  const at::Tensor logprobs = at::cat(
      {sequence_logprobs(*model, {1, 2, 3, 4, 5}, 1), sequence_logprobs(*model, {9, 8, 7}, 1)});
  ASSERT_EQ(logprobs.numel(), 6);
  const at::Tensor loss = -logprobs.sum() / 6;
  EXPECT_NEAR(told.values.at("loss").item<float>(), loss.item<float>(), 1e-5);
  at::Tensor squares = at::zeros({}, at::kDouble);
  for (const at::Tensor& gradient : torch::autograd::grad({loss}, weights)) {
    squares += gradient.to(at::kDouble).square().sum();
  }
  const double norm = squares.sqrt().item<double>();
  EXPECT_NEAR(told.values.at("grad_norm").item<float>(), norm, 1e-4 * norm);
  EXPECT_EQ(told.values.at("logprob[1,1]").item<float>(), logprobs[5].item<float>());
}

TEST_F(TokenTrainingTest, FileBeginsAnewAtItsEnd) {
  TokenTraining training(arm(kTokens, R"(, "optimizer": {"lr": 0})"));
  Told first, second;
  training.step(0, first);
  training.step(1, second);  // the third sequence, and the first one again
  EXPECT_TRUE(at::equal(second.values.at("logprob[1,0]"), first.values.at("logprob[0,0]")));
  EXPECT_FALSE(at::equal(second.values.at("logprob[0,0]"), first.values.at("logprob[0,0]")));
}

TEST_F(TokenTrainingTest, LossFalls) {
  TokenTraining training(arm("[[1, 2, 3, 4, 5], [9, 8, 7]]", R"(, "optimizer": {"lr": 0.01})"));
  std::vector<float> losses;
  for (int64_t step = 0; step < 6; ++step) {
    Told told;
    training.step(step, told);
    losses.push_back(told.values.at("loss").item<float>());
  }
  EXPECT_LT(losses.back(), 0.5f * losses.front());
}

TEST_F(TokenTrainingTest, FilesThatPredictNothingAreRefused) {
  EXPECT_THAT(refusal("[]"), HasSubstr("an array of 0"));
  EXPECT_THAT(refusal("[[1, 2], [3]]"), HasSubstr("tokens.json: [1]: found 1 tokens"));
  EXPECT_THAT(refusal("[[1, 999999]]"), HasSubstr("999999"));
  EXPECT_THAT(
      message_of<InputError>([] {
        parse_case(
            R"({"name": "c", "model": "m", "arms": {"a": {}}, "workload": {"name": "train"}})",
            "c.json");
      }),
      HasSubstr("workload.tokens"));
}

}  // namespace
}  // namespace samebits
