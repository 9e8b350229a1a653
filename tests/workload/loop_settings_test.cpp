// What a case may change of the loop: draws, updates, weight sync, an untied head.
#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "harness/base/error.h"
#include "harness/case/case.h"
#include "harness/workload/grpo.h"
#include "tests/base/message_of.h"
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

}  // namespace
}  // namespace samebits
