#include "harness/kernels/cpu/gemm.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "tests/kernels/matrix_oracle.h"
#include "tests/kernels/tensors.h"

namespace samebits {
namespace {

using testing::hostile_tensor;
using testing::kDtypes;
using testing::oracle_chain;
using testing::random_tensor;
using testing::values_of;

MatrixView view_of(const at::Tensor& x) { return {x.const_data_ptr(), x.stride(0), x.stride(1)}; }

// The same values [rows, k] stored by rows, by columns, or with gaps both ways.
at::Tensor stored(const at::Tensor& x, int layout) {
  if (layout == 0) return x.contiguous();
  if (layout == 1) return x.t().contiguous().t();
  at::Tensor wide = at::zeros({x.size(0), 3 * x.size(1)}, x.options());
  wide.slice(1, 0, at::nullopt, 3).copy_(x);
  return wide.slice(1, 0, at::nullopt, 3);
}

// Here and there 16 zeros of either sign, as masked weights of attention are.
at::Tensor with_steps_of_zeros(const at::Tensor& x, std::mt19937& rng) {
  at::Tensor result = x.clone();
  for (int64_t row = 0; row < x.size(0); ++row) {
    for (int64_t k = 0; k < x.size(1); k += kSm90StepK) {
      if (rng() % 3 != 0) continue;
      result[row].slice(0, k, std::min(k + kSm90StepK, x.size(1))).fill_(rng() % 2 ? 0.0 : -0.0);
    }
  }
  return result;
}

// Accumulators: ordinary, zeros of both signs, and arbitrary bit patterns.
at::Tensor accumulators(int64_t rows, int64_t columns, uint64_t seed) {
  const at::Tensor draw = at::rand({rows, columns}, testing::seeded(seed));
  const at::Tensor values = random_tensor({rows, columns}, at::kFloat, seed + 1);
  const at::Tensor zeros = at::where(values < 0, -0.0f, 0.0f).to(at::kFloat);
  const at::Tensor hostile = hostile_tensor({rows, columns}, at::kFloat, seed + 2);
  return at::where(draw < 0.3, zeros, at::where(draw < 0.4, hostile, values)).contiguous();
}

std::vector<float> canonical(std::vector<float> values) {
  for (float& x : values) x = canonical_nan_f32(x);
  return values;
}

bool same(const std::vector<float>& a, const std::vector<float>& b) {
  return std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

std::vector<float> chains(const std::vector<float>& c, const at::Tensor& a, const at::Tensor& b) {
  std::vector<float> out;
  for (int64_t row = 0; row < a.size(0); ++row) {
    const std::vector<float> x = values_of(a[row]);
    for (int64_t column = 0; column < b.size(0); ++column) {
      out.push_back(oracle_chain(c[out.size()], x, values_of(b[column]), a.scalar_type()));
    }
  }
  return canonical(out);
}

TEST(RowBlock, ChainsGoOnFromAnyAccumulatorInAnyLayout) {
  std::mt19937 rng(5);
  int from_zero = 0;
  for (int round = 0; round < 120; ++round) {
    const int64_t rows = 1 + rng() % 20, columns = 1 + rng() % 40, k = 1 + rng() % 80;
    for (const auto dtype : kDtypes) {
      const auto make = round % 4 == 0 ? hostile_tensor : random_tensor;
      const at::Tensor a = with_steps_of_zeros(make({rows, k}, dtype, 3 * round), rng);
      const at::Tensor b = make({columns, k}, dtype, 3 * round + 1);
      const std::vector<float> c = values_of(accumulators(rows, columns, 3 * round + 2));
      const std::vector<float> expected = chains(c, a, b);
      from_zero += same(expected, chains(std::vector<float>(c.size()), a, b));
      const at::Tensor left = stored(a, rng() % 3);
      const at::Tensor right = stored(b, rng() % 3);
      for (const Isa isa : supported_isas()) {
        RowBlock block(isa, dtype);
        block.prepare(view_of(left), rows, k);
        std::vector<float> got = c;
        block.chain(view_of(right), columns, got.data(), columns);
        EXPECT_TRUE(same(canonical(got), expected))
            << name_of(isa) << " " << dtype << " " << rows << " x " << columns << " x " << k;

        // Some rows, and k from a step on.
        const int64_t first_row = rng() % rows;
        const int64_t first_k = rng() % ((k + kSm90StepK - 1) / kSm90StepK) * kSm90StepK;
        const at::Tensor tail = right.slice(1, first_k);
        std::vector<float> part(c.begin() + first_row * columns, c.end());
        const std::vector<float> expected_part =
            chains(part, a.slice(0, first_row).slice(1, first_k), b.slice(1, first_k));
        block.chain_part(first_row, rows - first_row, first_k, k - first_k, view_of(tail), columns,
                         part.data(), columns);
        EXPECT_TRUE(same(canonical(part), expected_part)) << name_of(isa) << " " << dtype;
      }
    }
  }
  EXPECT_LT(from_zero, 40) << "the control: chains from zero are others";
}

}  // namespace
}  // namespace samebits
