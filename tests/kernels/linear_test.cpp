#include "harness/kernels/linear.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <random>

#include "harness/kernels/functional.h"
#include "tests/kernels/gradients.h"
#include "tests/kernels/matrix_oracle.h"
#include "tests/kernels/tensors.h"

namespace samebits {
namespace {

using testing::hostile_tensor;
using testing::kDtypes;
using testing::linear_wgrad;
using testing::oracle_gemm;
using testing::oracle_round;
using testing::random_tensor;
using testing::same_bits;
using testing::same_on_all_isas;

// Normal values with, here and there, a zero, a denormal, an infinity, a NaN or a wide exponent.
at::Tensor spiked_tensor(at::IntArrayRef sizes, at::ScalarType dtype, uint64_t seed) {
  const at::Tensor odd = hostile_tensor(sizes, dtype, seed + 1);
  const at::Tensor wide =
      random_tensor(sizes, at::kFloat, seed) *
      at::exp2(at::randint(-40, 40, sizes, testing::seeded(seed)).to(at::kFloat));
  const at::Tensor draw = at::rand(sizes, testing::seeded(seed + 2));
  const at::Tensor spiked = at::where(draw < 0.002, odd, wide.to(dtype));
  return at::where(draw > 0.9, at::zeros({}, dtype), spiked);
}

using Maker = at::Tensor (*)(at::IntArrayRef, at::ScalarType, uint64_t);
constexpr Maker kMakers[] = {random_tensor, hostile_tensor, spiked_tensor};

// Every operator against the loops of matrix_oracle.h, under every instruction set.
TEST(Linear, IsItsStatementOnEveryInstructionSet) {
  std::mt19937 rng(3);
  for (int round = 0; round < 60; ++round) {
    const int64_t t = rng() % 20, n = rng() % 70, k = rng() % 150;
    const int64_t slice = round % 3 == 0 ? 0 : 1 + rng() % 60;
    for (const auto dtype : kDtypes) {
      const Maker make = kMakers[round % 3];
      const at::Tensor x = make({t, k}, dtype, 3 * round);
      const at::Tensor w = make({n, k}, dtype, 3 * round + 1);
      const at::Tensor dy = make({t, n}, dtype, 3 * round + 2);
      const at::Tensor out = oracle_gemm(x, w, slice);
      const at::Tensor dx = oracle_gemm(dy, w.t().contiguous(), slice);
      const at::Tensor dw = oracle_gemm(dy.t().contiguous(), x.t().contiguous(), 0);
      for (const Isa isa : supported_isas()) {
        const IsaOverride guard(isa);
        ASSERT_TRUE(same_bits(cpu::linear(x, w, slice, 0, at::kFloat), out))
            << name_of(isa) << " " << t << " " << n << " " << k << " slice " << slice;
        ASSERT_TRUE(same_bits(cpu::linear(x, w, slice, 0, at::kBFloat16),
                              oracle_round(out, at::kBFloat16)));
        ASSERT_TRUE(same_bits(cpu::linear_dgrad(dy, w, slice), dx)) << name_of(isa);
        ASSERT_TRUE(same_bits(linear_wgrad(dy, x), dw)) << name_of(isa);
      }
    }
  }
}

TEST(Linear, LargerShapesAgreeOnAllInstructionSets) {
  for (const auto dtype : kDtypes) {
    for (const Maker make : {Maker{random_tensor}, Maker{spiked_tensor}}) {
      const at::Tensor x = make({101, 320}, dtype, 1);
      const at::Tensor w = make({100, 320}, dtype, 2);
      const at::Tensor dy = make({101, 100}, dtype, 3);
      EXPECT_TRUE(same_on_all_isas([&] {
        return std::vector<at::Tensor>{cpu::linear(x, w, 40, 0, at::kFloat),
                                       cpu::linear_dgrad(dy, w, 13), linear_wgrad(dy, x)};
      }));
    }
  }
}

TEST(Linear, ARowAloneIsTheRowInAnyBatchAtAnyPlace) {
  for (const auto dtype : kDtypes) {
    const at::Tensor w = random_tensor({72, 96}, dtype, 1);
    const at::Tensor x = random_tensor({130, 96}, dtype, 2);
    const at::Tensor all = cpu::linear(x, w, 32, 0, at::kFloat);
    const at::Tensor reversed = cpu::linear(x.flip(0), w, 32, 0, at::kFloat).flip(0);
    EXPECT_TRUE(same_bits(all, reversed));
    for (const int64_t row : {0, 1, 47, 48, 129}) {
      EXPECT_TRUE(same_bits(cpu::linear(x[row], w, 32, 0, at::kFloat), all[row]));
    }
    // The control: the same terms in another order are other bits.
    const at::Tensor order = at::randperm(96, testing::seeded(5));
    EXPECT_FALSE(same_bits(
        cpu::linear(x.index_select(1, order), w.index_select(1, order), 32, 0, at::kFloat), all));
  }
}

// What tensor parallelism does: each rank sums its own slices, the tree joins the ranks.
TEST(Linear, ShardsJoinedByTheTreeAreTheWhole) {
  constexpr int64_t kSlices = 8;
  constexpr int64_t kSlice = 24;
  for (const auto dtype : kDtypes) {
    const at::Tensor x = random_tensor({5, kSlices * kSlice}, dtype, 1);
    const at::Tensor w = random_tensor({33, kSlices * kSlice}, dtype, 2);
    const at::Tensor whole = cpu::linear(x, w, kSlice, 0, at::kFloat);
    for (const int64_t ranks : {1, 2, 4, 8}) {
      std::vector<at::Tensor> sums;
      for (int64_t r = 0; r < ranks; ++r) {
        const int64_t width = x.size(1) / ranks;
        sums.push_back(cpu::linear(x.narrow(1, r * width, width), w.narrow(1, r * width, width),
                                   kSlice, 0, at::kFloat));
      }
      at::Tensor in_a_row = sums[0];
      for (int64_t r = 1; r < ranks; ++r) in_a_row = in_a_row + sums[r];
      while (sums.size() > 1) {
        std::vector<at::Tensor> joined;
        for (size_t i = 0; i < sums.size(); i += 2) joined.push_back(sums[i] + sums[i + 1]);
        sums = joined;
      }
      EXPECT_TRUE(same_bits(sums[0], whole)) << ranks;
      if (ranks >= 4) {
        EXPECT_FALSE(same_bits(in_a_row, whole)) << "the control: another tree";
      }
    }
    EXPECT_FALSE(same_bits(cpu::linear(x, w, 0, 0, at::kFloat), whole)) << "the control: one chain";
  }
}

TEST(Linear, ThreadsDoNotMatter) {
  const int before = at::get_num_threads();
  const at::Tensor x = random_tensor({70, 200}, at::kBFloat16, 1);
  const at::Tensor w = random_tensor({300, 200}, at::kBFloat16, 2);
  at::set_num_threads(1);
  const at::Tensor one = cpu::linear(x, w, 50, 0, at::kFloat);
  at::set_num_threads(3);
  const at::Tensor three = cpu::linear(x, w, 50, 0, at::kFloat);
  at::set_num_threads(before);
  EXPECT_TRUE(same_bits(one, three));
}

// Against double. A step loses less than 17 * 2^-25 of its reference and 2^-23 of its result, and
// neither exceeds sum |a b|; a fused multiply-add loses 2^-24. Products of bf16 are exact.
TEST(Linear, IsTheProductWithinItsRoundings) {
  for (const auto dtype : kDtypes) {
    const at::Tensor x = random_tensor({9, 256}, dtype, 1);
    const at::Tensor w = random_tensor({40, 256}, dtype, 2);
    const at::Tensor dy = random_tensor({9, 40}, dtype, 3);
    const auto within = [&](const at::Tensor& got, const at::Tensor& a, const at::Tensor& b,
                            double scale) {
      const at::Tensor l = a.to(at::kDouble);
      const at::Tensor r = b.to(at::kDouble);
      const double steps = dtype == at::kFloat ? 0.5 * a.size(1) : (a.size(1) / 16.0 + 1) * 5.25;
      const at::Tensor bound = scale * steps * 0x1p-23 * at::matmul(l.abs(), r.abs());
      return ((got.to(at::kDouble) - at::matmul(l, r)).abs() <= bound).all().item<bool>();
    };
    const at::Tensor out = cpu::linear(x, w, 0, 0, at::kFloat);
    EXPECT_TRUE(within(out, x, w.t(), 1));
    EXPECT_TRUE(within(cpu::linear_dgrad(dy, w, 0), dy, w, 1));
    const at::Tensor dw = linear_wgrad(dy.to(at::kFloat), x.to(at::kFloat));
    EXPECT_TRUE(within(dw, dy.t(), x, 4)) << "a float32 chain of nine terms";
    EXPECT_FALSE(within(out * (1 + 0x1p-12), x, w.t(), 1)) << "the control";
  }
}

TEST(Linear, AFloat32GradientIsRoundedToTheOtherOperand) {
  const at::Tensor x = random_tensor({6, 32}, at::kBFloat16, 1);
  const at::Tensor w = random_tensor({24, 32}, at::kBFloat16, 2);
  const at::Tensor dy = random_tensor({6, 24}, at::kFloat, 3);
  const at::Tensor rounded = dy.to(at::kBFloat16);
  EXPECT_TRUE(same_bits(cpu::linear_dgrad(dy, w, 0), cpu::linear_dgrad(rounded, w, 0)));
  EXPECT_TRUE(same_bits(linear_wgrad(dy, x), linear_wgrad(rounded, x)));
}

TEST(Linear, EmptyTensorsAndLeadingSizesWork) {
  for (const auto dtype : kDtypes) {
    const at::Tensor w = random_tensor({7, 16}, dtype, 1);
    EXPECT_EQ(cpu::linear(at::empty({0, 16}, dtype), w, 8, 0, dtype).sizes(),
              (std::vector<int64_t>{0, 7}));
    EXPECT_TRUE(
        same_bits(cpu::linear(at::empty({3, 0}, dtype), at::empty({7, 0}, dtype), 4, 0, at::kFloat),
                  at::zeros({3, 7})));
    const at::Tensor x = random_tensor({2, 3, 16}, dtype, 2);
    EXPECT_TRUE(same_bits(cpu::linear(x, w, 0, 0, dtype).view({6, 7}),
                          cpu::linear(x.view({6, 16}), w, 0, 0, dtype)));
    EXPECT_TRUE(same_bits(ops::linear(x, w, 0, 0, dtype), cpu::linear(x, w, 0, 0, dtype)));
    EXPECT_TRUE(same_bits(linear_wgrad(at::empty({0, 7}, dtype), at::empty({0, 16}, dtype)),
                          at::zeros({7, 16})));
  }
}

TEST(Linear, RefusesWhatDoesNotMeet) {
  const at::Tensor x = at::zeros({2, 8});
  const at::Tensor w = at::zeros({3, 8});
  EXPECT_THROW(cpu::linear(x, at::zeros({3, 9}), 0, 0, at::kFloat), c10::Error);
  EXPECT_THROW(cpu::linear(x, w.to(at::kBFloat16), 0, 0, at::kFloat), c10::Error);
  EXPECT_THROW(cpu::linear(x.to(at::kDouble), w.to(at::kDouble), 0, 0, at::kFloat), c10::Error);
  EXPECT_THROW(cpu::linear(x, w, -1, 0, at::kFloat), c10::Error);
  EXPECT_THROW(cpu::linear(x, w, 0, 0, at::kHalf), c10::Error);
  EXPECT_THROW(cpu::linear_dgrad(x, w, 0), c10::Error);
  EXPECT_THROW(linear_wgrad(at::zeros({4, 3}), x), c10::Error);
}

}  // namespace
}  // namespace samebits
