#include "harness/workload/trainer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <random>

#include "harness/base/error.h"
#include "harness/model/attention.h"
#include "harness/workload/micro_batch.h"
#include "tests/support/random_model.h"

namespace samebits {
namespace {

using testing::random_model;
using testing::same_bits;
using testing::small_config;

std::vector<Sample> random_samples(uint64_t seed, int64_t count) {
  std::mt19937_64 random(seed);
  std::vector<Sample> samples;
  for (int64_t i = 0; i < count; ++i) {
    Sample sample;
    sample.prompt_length = 1 + static_cast<int64_t>(random() % 6);
    const size_t length = sample.prompt_length + 1 + random() % 9;
    for (size_t t = 0; t < length; ++t) sample.tokens.push_back(1 + random() % 60);
    for (size_t t = sample.prompt_length; t < length; ++t) {
      sample.logprobs.push_back(-4.0f - 0.01f * static_cast<float>(random() % 100));
    }
    sample.advantage = static_cast<float>(random() % 200) / 100.0f - 1.0f;
    samples.push_back(sample);
  }
  return samples;
}

struct Trained {
  TrainResult result;
  float norm;
  std::vector<at::Tensor> gradients;
  std::vector<at::Tensor> weights;
  Witness witness;
};

TrainResult accumulate(const Decoder& model, Optimizer& optimizer,
                       const std::vector<Sample>& samples) {
  Trainer trainer(model, optimizer,
                  {.loss = {}, .sequences = static_cast<int64_t>(samples.size()), .max_tokens = 40},
                  /*mode=*/{});
  return trainer.accumulate(samples);
}

// Two optimizer steps; whole plain tensors of the second.
Trained train(const Numerics& numerics, int64_t tp, const OptimizerSettings& settings = {},
              const Mode& mode = {}) {
  const auto model = random_model(small_config(), numerics, tp, 11);
  Optimizer optimizer(*model, settings, mode);
  Trainer trainer(*model, optimizer, {.loss = {}, .sequences = 5, .max_tokens = 40}, mode);
  Trained trained;
  for (int64_t step = 0; step < 2; ++step) {
    trained.result = trainer.accumulate(random_samples(step, 5));
    trained.gradients.clear();
    for (const at::Tensor& gradient : optimizer.gradient().whole()) {
      trained.gradients.push_back(model->parallel().to_plain(gradient).clone());
    }
    trained.norm = optimizer.step().item<float>();
  }
  trained.witness = trainer.program().witness();
  for (const Parameter& parameter : model->parameters()) {
    trained.weights.push_back(model->parallel().to_plain(parameter.tensor.detach()).clone());
  }
  return trained;
}

bool same(const Trained& a, const Trained& b) {
  bool equal = a.result.loss == b.result.loss && a.norm == b.norm &&
               a.result.logprobs == b.result.logprobs && a.gradients.size() == b.gradients.size();
  for (size_t i = 0; equal && i < a.gradients.size(); ++i) {
    equal = same_bits(a.gradients[i], b.gradients[i]) && same_bits(a.weights[i], b.weights[i]);
  }
  return equal;
}

TEST(TrainerTest, EveryTpDegreeGivesTheSameGradientsAndWeights) {
  const Trained expected = train(Numerics(), 1);
  EXPECT_GT(expected.norm, 0.0f);
  for (const int64_t tp : {2, 4, 8}) EXPECT_TRUE(same(train(Numerics(), tp), expected)) << tp;
}

TEST(TrainerTest, OneJointGraphGivesTheBitsOfAutograd) {
  const Trained expected = train(Numerics(), 1);
  for (const int64_t tp : {1, 2}) {
    for (const GuardPolicy guards : {GuardPolicy::kKeep, GuardPolicy::kDrop}) {
      const Trained captured = train(Numerics(), tp, {}, {Execution::kCaptured, guards});
      EXPECT_TRUE(same(captured, expected)) << tp;
      EXPECT_EQ(captured.witness.eager_calls, 0);
      EXPECT_GT(captured.witness.runs, 0);
      EXPECT_EQ(captured.witness.runs, expected.witness.eager_calls);
    }
  }
}

// Over the joint graph, backward and all. The last is the control: its pass drops roundings.
TEST(TrainerTest, PassesOverTheJointGraphKeepItsBits) {
  const Trained expected = train(Numerics(), 1);
  const auto with = [](std::vector<GraphPass> passes) {
    return train(Numerics(), 1, {}, {Execution::kCaptured, GuardPolicy::kKeep, std::move(passes)});
  };
  EXPECT_TRUE(same(with({GraphPass::kCommonSubexpressions, GraphPass::kDeadCode}), expected));
  EXPECT_TRUE(same(with({GraphPass::kFuse}), expected));
  EXPECT_FALSE(same(with({GraphPass::kDropRoundings}), expected));
}

// The sums that a bfloat16 head rounds: its logprobs are others, by no more than that rounding.
TEST(TrainerTest, AFloat32HeadHasTheSameBitsEverywhereAndOthersThanARoundedOne) {
  Numerics numerics;
  numerics.float32_head = true;
  const Trained expected = train(numerics, 1);
  for (const int64_t tp : {1, 2, 8}) {
    EXPECT_TRUE(same(train(numerics, tp), expected)) << tp;
    EXPECT_TRUE(same(train(numerics, tp, {}, {Execution::kCaptured}), expected)) << tp;
    EXPECT_TRUE(same(train(numerics, tp, {}, {Execution::kFullGraphAlways}), expected)) << tp;
  }
  EXPECT_FALSE(same(train(Numerics(), 1), expected));

  const auto logits = [](const Numerics& of) {
    const auto model = random_model(small_config(), of, 1, 11);
    const at::NoGradGuard no_grad;
    const PackedSequences in = pack({{{3, 1, 4, 1, 5, 9, 2, 6}, 1}});
    return model->forward(in.ids, in.positions,
                          ContiguousAttention(of, in.cu_seqlens, model->attention_scale()),
                          in.rows);
  };
  const at::Tensor unrounded = logits(numerics);
  EXPECT_EQ(unrounded.scalar_type(), at::kFloat);
  EXPECT_TRUE(same_bits(unrounded.to(at::kBFloat16), logits(Numerics())));
  EXPECT_FALSE(same_bits(unrounded, logits(Numerics()).to(at::kFloat)));
}

TEST(TrainerTest, SoDoesOneWithoutMasterWeights) {
  OptimizerSettings without;
  without.master = false;
  const Trained expected = train(Numerics(), 1, without);
  for (const int64_t tp : {1, 2}) {
    EXPECT_TRUE(same(train(Numerics(), tp, without, {Execution::kCaptured}), expected)) << tp;
  }
}

TEST(TrainerTest, Float32AtEveryTpDegreeToo) {
  Numerics numerics;
  numerics.dtype = at::kFloat;
  const Trained expected = train(numerics, 1);
  for (const int64_t tp : {2, 4}) EXPECT_TRUE(same(train(numerics, tp), expected)) << tp;
}

TEST(TrainerTest, WithoutTpInvarianceTp2Differs) {
  Numerics numerics;
  numerics.dtype = at::kFloat;  // bfloat16 would round most differences of so small a model away
  numerics.tp_invariant = false;
  EXPECT_FALSE(same(train(numerics, 1), train(numerics, 2)));
}

TEST(TrainerTest, MasterWeightsMatter) {
  OptimizerSettings without;
  without.master = false;
  EXPECT_FALSE(same(train(Numerics(), 1), train(Numerics(), 1, without)));
}

// What a bit-exact generator and trainer must show at every step.
TEST(TrainerTest, AReplacedWeightIsRefusedByGraphsAndByNothingElse) {
  for (const Execution execution : {Execution::kEager, Execution::kCaptured}) {
    for (const int64_t tp : {1, 2}) {
      const auto model = random_model(small_config(), Numerics(), tp, 11);
      Optimizer optimizer(*model, {}, {execution});
      Trainer trainer(*model, optimizer, {.loss = {}, .sequences = 2, .max_tokens = 40},
                      {execution, GuardPolicy::kKeep});
      const auto train = [&] { trainer.accumulate(random_samples(1, 2)); };
      const auto words_of = [](const std::function<void()>& f) -> std::string {
        try {
          f();
        } catch (const RunError& error) {
          return error.what();
        }
        return "no error";
      };
      train();
      optimizer.step();  // in place
      EXPECT_EQ(words_of(train), "no error");
      at::Tensor& weight = model->parameters()[3].tensor;
      weight = weight.detach().clone().requires_grad_(true);
      const std::string expected =
          execution == Execution::kEager
              ? "no error"
              : "captured graphs hold model.layers.0.self_attn.k_proj.weight by address, and it "
                "was replaced since: update weights in place";
      EXPECT_EQ(words_of(train), expected) << tp;
      EXPECT_EQ(words_of([&] { optimizer.step(); }), expected) << tp;
    }
  }
}

// A step's graph, with its logits' gradient, is freed with it, and with the trainer the weights.
TEST(TrainerTest, NothingOutlivesIt) {
  const at::Tensor kept = at::zeros({1});
  for (const Execution execution :
       {Execution::kEager, Execution::kCaptured, Execution::kFullGraphAlways}) {
    for (const int64_t tp : {1, 2}) {
      std::vector<c10::weak_intrusive_ptr<c10::TensorImpl>> weights{
          c10::weak_intrusive_ptr<c10::TensorImpl>(kept.getIntrusivePtr())};
      {
        const auto model = random_model(small_config(), Numerics(), tp, 11);
        for (const Parameter& parameter : model->parameters()) {
          weights.emplace_back(parameter.tensor.getIntrusivePtr());
        }
        Optimizer optimizer(*model, {}, {execution});
        Trainer trainer(*model, optimizer, {.loss = {}, .sequences = 5, .max_tokens = 40},
                        {execution, GuardPolicy::kDrop});
        trainer.accumulate(random_samples(1, 5));
        optimizer.step();
      }
      const auto left =
          std::ranges::count_if(weights, [](const auto& weight) { return weight.use_count() > 0; });
      EXPECT_EQ(left, 1) << "all but the one that the test keeps, TP " << tp;
    }
  }
}

TEST(TrainerTest, EqualLogprobsGiveRatioOneAndNoKl) {
  const auto model = random_model(small_config(), Numerics(), 1, 11);
  Optimizer optimizer(*model, {}, {});
  std::vector<Sample> samples = random_samples(3, 2);
  for (Sample& sample : samples) {
    const at::NoGradGuard no_grad;
    const at::Tensor logprobs = sequence_logprobs(*model, sample.tokens, sample.prompt_length);
    const float* values = logprobs.const_data_ptr<float>();
    sample.logprobs.assign(values, values + logprobs.numel());
  }
  const TrainResult result = accumulate(*model, optimizer, samples);
  EXPECT_EQ(result.kl, 0.0f);
  // With every ratio exactly 1, pg is minus the mean advantage.
  EXPECT_FLOAT_EQ(result.pg, -(samples[0].advantage + samples[1].advantage) / 2);
}

TEST(TrainerTest, AStepAgainstTheGradientLowersTheLoss) {
  const auto model = random_model(small_config(), Numerics(), 1, 11);
  OptimizerSettings settings;
  settings.lr = 1e-3;
  Optimizer optimizer(*model, settings, {});
  const std::vector<Sample> samples = random_samples(9, 4);
  const float before = accumulate(*model, optimizer, samples).loss;
  optimizer.step();
  const float after = accumulate(*model, optimizer, samples).loss;
  EXPECT_LT(after, before);
}

}  // namespace
}  // namespace samebits
