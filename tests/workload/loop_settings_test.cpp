// What a case may change of the loop: draws, updates, weight sync, an untied head.
#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "harness/base/error.h"
#include "harness/case/case.h"
#include "harness/model/attention.h"
#include "harness/workload/grpo.h"
#include "tests/base/message_of.h"
#include "tests/support/random_model.h"
#include "tests/support/source_path.h"

namespace samebits {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// What a workload told, by site, in order.
class Told : public Observer {
 public:
  void begin_phase(const std::string&) override {}
  void observe(const std::string& site, const at::Tensor& value) override {
    values[site].push_back(value.detach().cpu().clone());
  }
  const at::Tensor& at(const std::string& site, size_t occurrence = 0) const {
    return values.at(site).at(occurrence);
  }
  std::map<std::string, std::vector<at::Tensor>> values;
};

CaseArm arm_with(const std::string& workload) {
  const std::string text = R"({"name": "c", "model": ")" + source_path("cases/models/tiny") + R"(",
      "arms": {"a": {}},
      "workload": {"group": 2, "max_new_tokens": 4, "optimizer": {"lr": 0.01},
                   "prompts": [{"prompt": "The capital", "answer": "paris"},
                               {"prompt": "Water", "answer": "wet"}])";
  return parse_case(text + (workload.empty() ? "" : ", " + workload) + "}}", "c.json").arms[0];
}

// Each step by itself.
std::vector<Told> run(const ArmSettings& arm, int64_t steps) {
  Grpo grpo(arm);
  std::vector<Told> told(static_cast<size_t>(steps));
  for (int64_t step = 0; step < steps; ++step) grpo.step(step, told[static_cast<size_t>(step)]);
  return told;
}

std::vector<int64_t> draw_ids(const Told& told) {
  std::vector<int64_t> ids;
  for (int64_t i = 0; i < 4; ++i) {
    const at::Tensor& draw = told.at("draw[" + std::to_string(i) + "]");
    EXPECT_EQ(draw[0].item<int64_t>(), 42);
    ids.push_back(draw[1].item<int64_t>());
  }
  return ids;
}

bool is_same(const at::Tensor& a, const at::Tensor& b) { return at::equal(a, b); }

TEST(LoopSettings, DrawsAreKeyedByRunStepOrGroup) {
  const std::vector<Told> per_step = run(arm_with(""), 2);
  EXPECT_THAT(draw_ids(per_step[0]), ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(draw_ids(per_step[1]), ElementsAre(4, 5, 6, 7));
  const std::vector<Told> same = run(arm_with(R"("draws": "same")"), 2);
  EXPECT_THAT(draw_ids(same[1]), ElementsAre(0, 1, 2, 3));
  const std::vector<Told> each_prompt = run(arm_with(R"("draws": "same_for_each_prompt")"), 2);
  EXPECT_THAT(draw_ids(each_prompt[0]), ElementsAre(0, 1, 0, 1));
  EXPECT_THAT(draw_ids(each_prompt[1]), ElementsAre(0, 1, 0, 1));
}

TEST(LoopSettings, FrozenGeneratorWithTheSameDrawsRepeatsItsRollout) {
  const std::vector<Told> frozen = run(arm_with(R"("draws": "same", "sync": "never")"), 2);
  const std::vector<Told> synced = run(arm_with(R"("draws": "same")"), 2);
  bool is_moved = false;
  for (const char* site : {"logprob[0,0]", "logprob[3,3]"}) {
    EXPECT_TRUE(is_same(frozen[0].at(site), frozen[1].at(site)));
    is_moved = is_moved || !is_same(synced[0].at(site), synced[1].at(site));
  }
  EXPECT_TRUE(is_moved);
}

TEST(LoopSettings, SecondUpdateLeavesThePolicy) {
  const std::vector<Told> one = run(arm_with(""), 1);
  const std::vector<Told> two = run(arm_with(R"("updates": 2)"), 1);
  EXPECT_EQ(one[0].values.at("loss").size(), 1u);
  ASSERT_EQ(two[0].values.at("loss").size(), 2u);
  EXPECT_TRUE(is_same(one[0].at("loss"), two[0].at("loss")));
  EXPECT_EQ(two[0].at("kl", 0).item<float>(), 0.0f);
  EXPECT_GT(two[0].at("kl", 1).item<float>(), 0.0f);
  EXPECT_FALSE(is_same(one[0].at("norm.weight"), two[0].at("norm.weight")));
}

// At step 0 the first weights are the generator's; after it only the term from them has moved.
TEST(LoopSettings, KlFromTheFirstWeightsGrowsWhereTheGeneratorsStaysZero) {
  for (const char* trainer : {"eager", "captured"}) {
    ArmSettings arm = arm_with(R"("loss": {"kl_reference": "initial"})");
    arm.trainer.execution =
        std::string(trainer) == "eager" ? Execution::kEager : Execution::kCaptured;
    const std::vector<Told> initial = run(arm, 2);
    const std::vector<Told> generator = run(arm_with(""), 2);
    EXPECT_EQ(initial[0].at("kl").item<float>(), 0.0f);
    EXPECT_TRUE(is_same(initial[0].at("loss"), generator[0].at("loss")));
    EXPECT_TRUE(is_same(initial[0].at("grad_norm"), generator[0].at("grad_norm")));
    EXPECT_EQ(generator[1].at("kl").item<float>(), 0.0f);
    // mean(exp(d) - 1 - d) over the sequences, d = L - L0.
    double kl = 0;
    double loss = 0;
    for (int64_t i = 0; i < 4; ++i) {
      double d = 0;
      const at::Tensor first = initial[1].at("initial_logprob[" + std::to_string(i) + "]");
      for (int64_t t = 0; t < first.numel(); ++t) {
        const std::string site = "logprob[" + std::to_string(i) + "," + std::to_string(t) + "]";
        d += initial[1].at(site).item<double>() - first[t].item<double>();
      }
      kl += (std::exp(d) - 1 - d) / 4;
    }
    EXPECT_GT(kl, 0);
    EXPECT_NEAR(initial[1].at("kl").item<float>(), kl, 1e-4 * (1 + kl));
    loss = initial[1].at("pg").item<float>() - 0.01 * initial[1].at("entropy").item<float>() +
           0.1 * kl;
    EXPECT_NEAR(initial[1].at("loss").item<float>(), loss, 1e-4 * (1 + std::abs(loss)));
  }
}

TEST(LoopSettings, LateSyncBringsTheWeightsOfTheStepBefore) {
  const std::vector<Told> late = run(arm_with(R"("sync": {"late": 1})"), 3);
  const std::string site = "layers.1.attention.wo.weight";
  const std::string after = "generator.after[" + site + "]";
  EXPECT_TRUE(is_same(late[0].at(after), late[0].at("generator.before[" + site + "]")));
  EXPECT_TRUE(is_same(late[1].at(after), late[0].at(site)));
  EXPECT_TRUE(is_same(late[2].at(after), late[1].at(site)));
  EXPECT_FALSE(is_same(late[2].at(after), late[2].at(site)));
}

TEST(LoopSettings, ExceptedWeightsStayBehindAlone) {
  const std::vector<Told> told =
      run(arm_with(R"("sync": {"except": ["layers.1.*.wo.*", "norm*"]})"), 1);
  int64_t stayed = 0;
  for (const auto& [site, values] : told[0].values) {
    if (!site.starts_with("generator.after[")) continue;
    const std::string name = site.substr(16, site.size() - 17);
    const bool arrived = is_same(values[0], told[0].at(name));
    const bool is_excepted = name == "layers.1.attention.wo.weight" || name == "norm.weight";
    EXPECT_EQ(arrived, !is_excepted) << name;
    stayed += arrived ? 0 : 1;
  }
  EXPECT_EQ(stayed, 2);
  EXPECT_THAT(
      message_of<InputError>([] { check_arm(arm_with(R"("sync": {"except": ["lm_head*"]})")); }),
      HasSubstr("workload.sync.except"));
}

TEST(LoopSettings, UntiedHeadIsAWeightOfOneSideOnly) {
  const std::vector<Told> trainer = run(arm_with(R"("untied_head": "trainer")"), 1);
  EXPECT_TRUE(trainer[0].values.contains("output.weight"));
  EXPECT_FALSE(trainer[0].values.contains("generator.after[output.weight]"));
  // Its embedding has the gradient of what is read alone.
  const std::vector<Told> tied = run(arm_with(""), 1);
  EXPECT_TRUE(is_same(trainer[0].at("loss"), tied[0].at("loss")));
  EXPECT_FALSE(
      is_same(trainer[0].at("tok_embeddings.weight"), tied[0].at("tok_embeddings.weight")));
  const std::vector<Told> generator = run(arm_with(R"("untied_head": "generator")"), 1);
  EXPECT_TRUE(generator[0].values.contains("generator.after[output.weight]"));
  EXPECT_FALSE(generator[0].values.contains("output.weight"));
}

// The completion of a sample behind its prompt, and the arm's first model.
struct Scored {
  Scored(const ArmSettings& arm, const Told& told, int64_t sample)
      : model(make_model(arm, arm.trainer, TensorParallel())),
        tokens(encode_prompts(arm, Tokenizer::from_folder(arm.model))[sample / 2]),
        first(static_cast<int64_t>(tokens.size())) {
    const at::Tensor& more = told.at("completion[" + std::to_string(sample) + "]");
    const auto* begin = more.const_data_ptr<int64_t>();
    tokens.insert(tokens.end(), begin, begin + more.numel());
  }

  // By float64 of torch's log_softmax over the logits divided by the temperature.
  at::Tensor reference(double temperature) const {
    const at::NoGradGuard no_grad;
    const auto length = static_cast<int64_t>(tokens.size()) - 1;
    const ContiguousAttention attention(
        model->numerics(), at::tensor({int64_t{0}, length}, at::kInt), model->attention_scale());
    const at::Tensor logits =
        model->forward(at::tensor(tokens).slice(0, 0, length).unsqueeze(0),
                       at::arange(length).unsqueeze(0), attention, at::arange(first - 1, length));
    const at::Tensor real = logits[0].slice(1, 0, model->config().vocab_size).to(at::kDouble);
    return at::log_softmax(real / temperature, -1)
        .gather(1, at::tensor(tokens).slice(0, first).unsqueeze(1))
        .view(-1);
  }

  std::unique_ptr<Decoder> model;
  std::vector<int64_t> tokens;
  int64_t first;
};

// Of one sample, by one side: the first or the second time that a site was told.
at::Tensor logprobs_in(const Told& told, int64_t sample, size_t side) {
  std::vector<at::Tensor> all;
  for (int64_t t = 0;; ++t) {
    const std::string site = "logprob[" + std::to_string(sample) + "," + std::to_string(t) + "]";
    if (!told.values.contains(site)) return at::stack(all);
    all.push_back(told.at(site, side));
  }
}

double farthest(const at::Tensor& a, const at::Tensor& b) {
  return (a.to(at::kDouble) - b).abs().max().item<double>();
}

TEST(LoopSettings, ProcessedLogprobsAreThoseOfLogitsByTheTemperature) {
  constexpr double kTemperature = 0.6;
  constexpr double kClose = 1e-5;
  for (const char* sides : {"none", "generator", "trainer", "both"}) {
    const std::string key = R"("temperature": 0.6, "processed_logprobs": ")";
    const ArmSettings arm = arm_with(key + sides + "\"");
    const Told told = run(arm, 1)[0];
    for (const int64_t sample : {0, 3}) {
      const Scored scored(arm, told, sample);
      const at::Tensor processed = scored.reference(kTemperature);
      const at::Tensor raw = scored.reference(1);
      ASSERT_GT(farthest(processed, raw), 0.01);
      const at::Tensor generated = logprobs_in(told, sample, 0);
      const at::Tensor trained = logprobs_in(told, sample, 1);
      EXPECT_LT(farthest(generated, generates_processed(arm.workload) ? processed : raw), kClose);
      EXPECT_LT(farthest(trained, trains_processed(arm.workload) ? processed : raw), kClose);
      const bool is_alike = generates_processed(arm.workload) == trains_processed(arm.workload);
      EXPECT_EQ(is_same(generated, trained), is_alike) << sides;
    }
  }
}

// Whatever executes them; and of the temperature that changes nothing, nothing.
TEST(LoopSettings, ProcessedLogprobsHaveTheSameBitsInEveryMode) {
  const std::string cool = R"("temperature": 0.6, "processed_logprobs": "both")";
  const Told eager = run(arm_with(cool), 1)[0];
  ArmSettings captured = arm_with(cool);
  captured.generator.execution = captured.trainer.execution = Execution::kCaptured;
  ArmSettings split = arm_with(cool);
  split.mesh.tp = 2;
  for (const ArmSettings& arm : {captured, split}) {
    const Told told = run(arm, 1)[0];
    ASSERT_EQ(told.values.size(), eager.values.size());
    for (const auto& [site, values] : eager.values) {
      for (size_t i = 0; i < values.size(); ++i) {
        EXPECT_TRUE(is_same(values[i], told.at(site, i))) << site;
      }
    }
  }
  ArmSettings replayed = arm_with(cool);
  replayed.generator.execution = Execution::kFullGraph;
  EXPECT_THAT(message_of<InputError>([&] { check_arm(replayed); }),
              HasSubstr("full_graph with workload.processed_logprobs \"both\", expected eager"));
  const Told warm = run(arm_with(R"("processed_logprobs": "both")"), 1)[0];
  EXPECT_TRUE(is_same(warm.at("loss"), run(arm_with(""), 1)[0].at("loss")));
}

// The gradient of processed logprobs, against the slope along it.
TEST(LoopSettings, ProcessedLogprobsHaveAGradient) {
  Numerics numerics;
  numerics.dtype = at::kFloat;
  const auto model = testing::random_model(testing::small_config(), numerics, 1, 3);
  const std::vector<int64_t> tokens = {3, 14, 15, 9, 26, 5};
  at::Tensor& weight = model->parameters().back().tensor;
  const auto sum = [&] { return sequence_logprobs(*model, tokens, 2, /*temperature=*/0.5).sum(); };
  weight.requires_grad_(true);
  const at::Tensor gradient = torch::autograd::grad({sum()}, {weight})[0];
  const at::NoGradGuard no_grad;
  const double norm = gradient.norm().item<double>();
  ASSERT_GT(norm, 0.01);
  const auto moved = [&](double by) {
    const at::Tensor kept = weight.clone();
    weight.add_(gradient, by / norm);
    const double value = sum().item<double>();
    weight.copy_(kept);
    return value;
  };
  EXPECT_NEAR((moved(0.01) - moved(-0.01)) / 0.02, norm, 0.02 * norm);
}

TEST(LoopSettings, AttendedPaddingIsTextToTheGeneratorAlone) {
  ArmSettings arm = arm_with(R"("prompt_padding": "attended")");
  arm.workload.prompts[0].prompt = "The capital of France is";
  const Told told = run(arm, 1)[0];
  const auto prompts = encode_prompts(arm, Tokenizer::from_folder(arm.model));
  ASSERT_NE(prompts[0].size(), prompts[1].size());
  const size_t longest = std::max(prompts[0].size(), prompts[1].size());
  for (const int64_t sample : {0, 1, 2, 3}) {
    const Scored scored(arm, told, sample);
    const size_t padding = longest - prompts[sample / 2].size();
    std::vector<int64_t> padded(padding, 1000);  // eos_token_id of the tiny model
    padded.insert(padded.end(), scored.tokens.begin(), scored.tokens.end());
    const at::NoGradGuard no_grad;
    const at::Tensor generated = logprobs_in(told, sample, 0);
    const at::Tensor trained = logprobs_in(told, sample, 1);
    EXPECT_TRUE(is_same(generated,
                        sequence_logprobs(*scored.model, padded, static_cast<int64_t>(longest))));
    EXPECT_TRUE(is_same(trained, sequence_logprobs(*scored.model, scored.tokens, scored.first)));
    EXPECT_EQ(is_same(generated, trained), padding == 0) << sample;
  }
}

// Pages of one token: the first step fills them, and the second finds them.
TEST(LoopSettings, KeptPagesPartFromTheTrainerAfterASync) {
  const auto parts = [](const std::string& workload) {
    const std::vector<Told> told = run(arm_with(workload), 2);
    const auto in_step = [&](size_t step) {
      return !is_same(logprobs_in(told[step], 0, 0), logprobs_in(told[step], 0, 1));
    };
    return std::pair(in_step(0), in_step(1));
  };
  const std::string kept = R"("prefix_pages": "kept", "block_size": 1)";
  EXPECT_EQ(parts(kept), std::pair(false, true));
  EXPECT_EQ(parts(R"("block_size": 1)"), std::pair(false, false));
}

TEST(LoopSettings, PersistentRefusesAFloat32Head) {
  ArmSettings arm = arm_with("");
  arm.numerics.float32_head = true;
  check_arm(arm);
  arm.generator.execution = Execution::kPersistent;
  EXPECT_THAT(message_of<InputError>([&] { check_arm(arm); }),
              HasSubstr("persistent with numerics.float32_head"));
  arm.numerics.dtype = Dtype::float32;  // whose logits are float32 anyway
  check_arm(arm);
}

}  // namespace
}  // namespace samebits
