#include "harness/kernels/adamw.h"

#include <gtest/gtest.h>

#include <cmath>

#include "harness/kernels/functional.h"
#include "tests/kernels/tensors.h"

namespace samebits {
namespace {

using testing::kDtypes;
using testing::random_tensor;
using testing::same_bits;

struct State {
  at::Tensor weight;
  std::optional<at::Tensor> master;
  at::Tensor m;
  at::Tensor v;

  State clone() const {
    return {weight.clone(), master ? std::optional(master->clone()) : std::nullopt, m.clone(),
            v.clone()};
  }
  std::vector<at::Tensor> tensors() const {
    std::vector<at::Tensor> all{weight, m, v};
    if (master) all.push_back(*master);
    return all;
  }
};

State fresh(const at::Tensor& weight, bool with_master) {
  const at::Tensor zeros = at::zeros(weight.sizes(), at::kFloat);
  return {weight.clone(),
          with_master ? std::optional(weight.to(at::kFloat, false, /*copy=*/true)) : std::nullopt,
          zeros.clone(), zeros.clone()};
}

constexpr float kScale = 0.5f;
constexpr double kLr = 1e-2;
constexpr double kBeta1 = 0.9;
constexpr double kBeta2 = 0.999;
constexpr double kEps = 1e-8;
constexpr double kDecay = 0.01;

constexpr AdamwSettings kSettings = {kLr, kBeta1, kBeta2, kEps, kDecay};

void step_once(const State& s, const at::Tensor& grad, const at::Tensor& scale,
               const at::Tensor& step) {
  ops::adamw_(s.weight, s.master, s.m, s.v, grad, scale, step, kLr, kBeta1, kBeta2, kEps, kDecay);
}

void step_once(const State& s, const at::Tensor& grad, int64_t step) {
  step_once(s, grad, at::scalar_tensor(kScale), at::scalar_tensor(step, at::kLong));
}

// torch.optim.AdamW's formula in double.
void step_in_double(at::Tensor& p, at::Tensor& m, at::Tensor& v, const at::Tensor& grad,
                    int64_t step, double decay) {
  const at::Tensor g = grad.to(at::kDouble) * kScale;
  p.mul_(1 - kLr * decay);
  m.mul_(kBeta1).add_(g, 1 - kBeta1);
  v.mul_(kBeta2).addcmul_(g, g, 1 - kBeta2);
  const at::Tensor denominator =
      v.sqrt() / std::sqrt(1 - std::pow(kBeta2, static_cast<double>(step))) + kEps;
  p.addcdiv_(m, denominator, -kLr / (1 - std::pow(kBeta1, static_cast<double>(step))));
}

TEST(Adamw, IsTorchsFormula) {
  const State s = fresh(random_tensor({40, 7}, at::kFloat, 1), /*with_master=*/false);
  at::Tensor p = s.weight.to(at::kDouble);
  at::Tensor m = at::zeros_like(p);
  at::Tensor v = at::zeros_like(p);
  at::Tensor without_decay = p.clone();
  at::Tensor m2 = m.clone();
  at::Tensor v2 = v.clone();
  for (int64_t step = 1; step <= 10; ++step) {
    const at::Tensor grad = random_tensor({40, 7}, at::kFloat, 100 + static_cast<uint64_t>(step));
    step_once(s, grad, step);
    step_in_double(p, m, v, grad, step, kDecay);
    step_in_double(without_decay, m2, v2, grad, step, 0.0);
  }
  // Ten steps of some ten float32 roundings each on values of order 1.
  EXPECT_LT(testing::largest_error(s.weight, p, 1.0), 100 * 0x1p-24);
  EXPECT_LT(testing::largest_error(s.m, m, 1.0), 100 * 0x1p-24);
  EXPECT_LT(testing::largest_error(s.v, v, 1.0), 100 * 0x1p-24);
  EXPECT_GT(testing::largest_error(s.weight, without_decay, 1.0), 100 * 0x1p-24);
}

TEST(Adamw, FollowsItsContractToTheBit) {
  const State s = fresh(random_tensor({500}, at::kFloat, 2), /*with_master=*/false);
  s.m.copy_(random_tensor({500}, at::kFloat, 3));
  s.v.copy_(random_tensor({500}, at::kFloat, 4).abs());
  const State before = s.clone();
  const at::Tensor grad = random_tensor({500}, at::kFloat, 5);
  step_once(s, grad, 7);
  const AdamwConstants k = adamw_constants(kSettings, kScale, 7);
  bool coupled_differs = false;
  for (int64_t i = 0; i < 500; ++i) {
    const float g = grad.const_data_ptr<float>()[i] * k.scale;
    const float old = before.weight.const_data_ptr<float>()[i];
    const float m_old = before.m.const_data_ptr<float>()[i];
    const float m = m_old + k.one_minus_beta1 * (g - m_old);
    const float v = before.v.const_data_ptr<float>()[i] * k.beta2 + (k.one_minus_beta2 * g) * g;
    const float move = (k.step_size * m) / (std::sqrt(v) / k.sqrt_correction2 + k.eps);
    EXPECT_EQ(s.m.const_data_ptr<float>()[i], m);
    EXPECT_EQ(s.v.const_data_ptr<float>()[i], v);
    EXPECT_EQ(s.weight.const_data_ptr<float>()[i], old * k.decay - move);
    coupled_differs |= (old - move) * k.decay != old * k.decay - move;
  }
  EXPECT_TRUE(coupled_differs);
}

TEST(Adamw, ConstantsDoNotUseTheLibrarysPow) {
  const AdamwConstants k = adamw_constants({1e-3, 0.9, 0.999, 1e-8, 0.1}, 1, 3);
  EXPECT_EQ(k.step_size, static_cast<float>(1e-3 / (1.0 - 0.9 * (0.9 * 0.9))));
  EXPECT_EQ(k.decay, static_cast<float>(1.0 - 1e-3 * 0.1));
  EXPECT_EQ(k.one_minus_beta2, static_cast<float>(1.0 - 0.999));
}

// torch.optim.AdamW's loop over parameters in bfloat16, statement by statement: each is a tensor,
// so each rounds. LibTorch's own operators may fuse a product and a sum inside one of them, which
// moves a rounding to bfloat16 once in many thousand elements.
TEST(Adamw, MomentsInBfloat16RoundAsTorchsLoopDoes) {
  constexpr int64_t kCount = 20000;
  State s = fresh(random_tensor({kCount}, at::kBFloat16, 8), /*with_master=*/false);
  s.m = s.m.to(at::kBFloat16);
  s.v = s.v.to(at::kBFloat16);
  at::Tensor p = s.weight.clone();
  at::Tensor m = s.m.clone();
  at::Tensor v = s.v.clone();
  State in_float = fresh(p, /*with_master=*/false);
  int64_t different = 0;
  for (int64_t step = 1; step <= 8; ++step) {
    const at::Tensor grad =
        random_tensor({kCount}, at::kBFloat16, 300 + static_cast<uint64_t>(step));
    step_once(s, grad, step);
    step_once(in_float, grad, step);
    const at::Tensor clipped = grad * kScale;
    p.mul_(1 - kLr * kDecay);
    m.lerp_(clipped, 1 - kBeta1);
    v.mul_(kBeta2).addcmul_(clipped, clipped, 1 - kBeta2);
    const auto power = static_cast<double>(step);
    const at::Tensor denominator = (v.sqrt() / std::sqrt(1 - std::pow(kBeta2, power))).add_(kEps);
    p.addcdiv_(m, denominator, -kLr / (1 - std::pow(kBeta1, power)));
    for (const auto& [ours, theirs] : {std::pair(s.weight, p), {s.m, m}, {s.v, v}}) {
      different += at::ne(ours, theirs).sum().item<int64_t>();
      ours.copy_(theirs);  // a rounding that moved is counted once
    }
  }
  EXPECT_LT(different, 3 * 8 * kCount / 2000);
  EXPECT_GT(at::ne(s.weight, in_float.weight).sum().item<int64_t>(), kCount / 10)
      << "moments in float32 must give other weights";
}

TEST(Adamw, MomentsInBfloat16WantNoMasterAndNoFloatGradient) {
  State s = fresh(random_tensor({4}, at::kBFloat16, 9), /*with_master=*/false);
  s.m = s.m.to(at::kBFloat16);
  EXPECT_ANY_THROW(step_once(s, random_tensor({4}, at::kBFloat16, 1), 1)) << "v is float32";
  s.v = s.v.to(at::kBFloat16);
  EXPECT_ANY_THROW(step_once(s, random_tensor({4}, at::kFloat, 1), 1));
  EXPECT_NO_THROW(step_once(s, random_tensor({4}, at::kBFloat16, 1), 1));
  s.master = s.weight.to(at::kFloat);
  EXPECT_ANY_THROW(step_once(s, random_tensor({4}, at::kBFloat16, 1), 1));
}

TEST(Adamw, TheWeightIsTheRoundingOfItsMaster) {
  const at::Tensor weight = random_tensor({33, 5}, at::kBFloat16, 6);
  const State with = fresh(weight, /*with_master=*/true);
  const State without = fresh(weight, /*with_master=*/false);
  for (int64_t step = 1; step <= 20; ++step) {
    const at::Tensor grad =
        random_tensor({33, 5}, at::kBFloat16, 200 + static_cast<uint64_t>(step));
    step_once(with, grad, step);
    step_once(without, grad, step);
    EXPECT_TRUE(same_bits(with.weight, with.master->to(at::kBFloat16)));
  }
  EXPECT_FALSE(same_bits(with.weight, without.weight));
}

TEST(Adamw, AFloatGradientIsTakenAsItIs) {
  const at::Tensor weight = random_tensor({64}, at::kBFloat16, 7);
  const at::Tensor grad = random_tensor({64}, at::kBFloat16, 8);
  const State narrow = fresh(weight, true);
  const State wide = fresh(weight, true);
  step_once(narrow, grad, 1);
  step_once(wide, grad.to(at::kFloat), 1);
  EXPECT_TRUE(same_bits(narrow.tensors(), wide.tensors()));
  const State finer = fresh(weight, true);
  step_once(finer, random_tensor({64}, at::kFloat, 8), 1);
  EXPECT_FALSE(same_bits(narrow.tensors(), finer.tensors()));
}

TEST(Adamw, IsTheSameOnAllIsasAndInAnyPiece) {
  for (const auto dtype : kDtypes) {
    for (const auto make : {random_tensor, testing::hostile_tensor}) {
      for (const bool with_master : {false, true}) {
        const State start = fresh(make({3001}, dtype, 9), with_master);
        start.m.copy_(make({3001}, at::kFloat, 10));
        start.v.copy_(make({3001}, at::kFloat, 11));
        const at::Tensor grad = make({3001}, dtype, 12);
        EXPECT_TRUE(testing::same_on_all_isas([&] {
          const State s = start.clone();
          step_once(s, grad, 3);
          return s.tensors();
        }));
        const State whole = start.clone();
        step_once(whole, grad, 3);
        State piece = start.clone();
        for (at::Tensor* t : {&piece.weight, &piece.m, &piece.v}) *t = t->slice(0, 17, 90);
        if (piece.master) piece.master = piece.master->slice(0, 17, 90);
        step_once(piece, grad.slice(0, 17, 90), 3);
        EXPECT_TRUE(same_bits(piece.weight, whole.weight.slice(0, 17, 90)));
        EXPECT_FALSE(same_bits(piece.weight, start.weight.slice(0, 17, 90)));
      }
    }
  }
}

TEST(Adamw, ReadsItsStepAndScaleAtEveryCall) {
  const State start = fresh(random_tensor({100}, at::kFloat, 13), /*with_master=*/false);
  const at::Tensor grad = random_tensor({100}, at::kFloat, 14);
  const at::Tensor scale = at::scalar_tensor(kScale);
  const at::Tensor step = at::scalar_tensor(1, at::kLong);
  const auto run = [&] {
    const State s = start.clone();
    step_once(s, grad, scale, step);
    return s.weight;
  };
  const at::Tensor first = run();
  EXPECT_TRUE(same_bits(run(), first));
  step.fill_(2);
  EXPECT_FALSE(same_bits(run(), first));
  step.fill_(1);
  scale.fill_(0.25f);
  EXPECT_FALSE(same_bits(run(), first));
}

TEST(Adamw, RefusesStateOfAnotherShapeDtypeOrStep) {
  const State s = fresh(at::ones({4}), false);
  EXPECT_THROW(step_once(s, at::ones({5}), 1), c10::Error);
  EXPECT_THROW(step_once(s, at::ones({4}), 0), c10::Error);
  const at::Tensor one = at::scalar_tensor(1, at::kLong);
  EXPECT_THROW(step_once(s, at::ones({4}), at::ones({1}), one), c10::Error);
  EXPECT_THROW(step_once(s, at::ones({4}), at::ones({}), at::ones({})), c10::Error);
  EXPECT_THROW(step_once({s.weight, std::nullopt, s.m.to(at::kBFloat16), s.v}, at::ones({4}), 1),
               c10::Error);
}

}  // namespace
}  // namespace samebits
