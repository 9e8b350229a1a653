#include <fmt/format.h>
#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "harness/kernels/device.h"
#include "harness/kernels/functional.h"
#include "tests/kernels/cuda_agreement.h"
#include "tests/kernels/gradients.h"
#include "tests/kernels/tensors.h"

// Every operator of the contract list on a card against the CPU, to the bit, on ordinary values and
// on arbitrary bit patterns.

namespace samebits {
namespace {

using testing::agrees;
using testing::boundaries;
using testing::CudaTest;
using testing::for_all_values;
using testing::for_both_makes;
using testing::hostile_tensor;
using testing::kDtypes;
using testing::list;
using testing::Make;
using testing::random_tensor;
using testing::same_bits;
using testing::Tensors;

struct SlicedShape {
  int64_t m, n, k, slice;
};

// linear, with either result, and its gradients, whose sums run over n and over m.
void expect_products_agree(const SlicedShape& size, int64_t gradient_slice, at::ScalarType dtype,
                           Make make, const std::string& what) {
  const auto [m, n, k, slice] = size;
  const std::string shape = fmt::format("{}, {} x {} x {}, slice {}", what, m, n, k, slice);
  const Tensors inputs{make({m, k}, dtype, 1), make({n, k}, dtype, 2)};
  for (const at::ScalarType out : kDtypes) {
    EXPECT_TRUE(agrees(
        [=, slice = slice](const Tensors& in) {
          return Tensors{ops::linear(in[0], in[1], slice, 0, out)};
        },
        inputs))
        << shape;
  }
  EXPECT_TRUE(agrees(
      [=](const Tensors& in) {
        return Tensors{ops::linear_dgrad(in[0], in[1], gradient_slice),
                       testing::linear_wgrad(in[0], in[2])};
      },
      {make({m, n}, dtype, 3), inputs[1], inputs[0]}))
      << "gradients, " << shape;
}

TEST_F(CudaTest, Linear) {
  for_all_values([](at::ScalarType dtype, Make make, const std::string& what) {
    for (const SlicedShape& size : std::vector<SlicedShape>{{1, 1, 1, 0},
                                                            {1, 64, 48, 16},
                                                            {3, 5, 7, 0},
                                                            {5, 130, 100, 24},
                                                            {7, 1003, 1003, 0},
                                                            {40, 256, 1024, 128},
                                                            {16, 96, 200, 8},
                                                            {130, 70, 333, 50},
                                                            {257, 513, 264, 33},
                                                            {2, 3, 0, 0}}) {
      expect_products_agree(size, size.slice, dtype, make, what);
    }
  });
}

// Model-like sizes, where the larger tiles, the slices of TP invariance and certified cuBLASLt are
// used.
TEST_F(CudaTest, LinearAtModelSizes) {
  for_both_makes([](Make make, const std::string& what) {
    for (const int64_t m : {1, 8, 40, 48, 49, 512}) {
      const Tensors inputs{make({m, 1024}, at::kBFloat16, 4), make({2048, 1024}, at::kBFloat16, 5)};
      for (const int64_t slice : {0, 128}) {
        EXPECT_TRUE(agrees(
            [=](const Tensors& in) {
              return Tensors{ops::linear(in[0], in[1], slice, 0, at::kBFloat16)};
            },
            inputs))
            << what << ", " << m << " rows, slice " << slice;
      }
    }
    EXPECT_TRUE(agrees(
        [](const Tensors& in) {
          return Tensors{ops::linear_dgrad(in[0], in[1], 0), testing::linear_wgrad(in[0], in[2])};
        },
        {make({520, 768}, at::kBFloat16, 6), make({768, 1024}, at::kBFloat16, 7),
         make({520, 1024}, at::kBFloat16, 8)}))
        << what << ", gradients";
  });
}

// Packed sequences, one of them empty, onto sums that are there already; the larger shapes are
// those of wgmma's kernel.
TEST_F(CudaTest, GradientsGoOnFromTheirSums) {
  for_all_values([](at::ScalarType dtype, Make make, const std::string& what) {
    for (const auto& [tokens, n, k] : std::vector<std::array<int64_t, 3>>{
             {9, 5, 7}, {37, 64, 40}, {130, 96, 200}, {250, 1024, 768}, {403, 256, 3072}}) {
      const at::Tensor starts = testing::starts_of({0, tokens / 3, tokens / 3, tokens - 1, tokens});
      EXPECT_TRUE(agrees(
          [](const Tensors& x) {
            const at::Tensor cut = x[3].clone();
            ops::linear_wgrad_(x[0], x[1], x[2], cut);
            const at::Tensor whole = x[3].clone();
            ops::linear_wgrad_(x[0], x[1], std::nullopt, whole);
            const at::Tensor norm = x[4].clone();
            const at::Tensor heads = x[1].unsqueeze(0).unsqueeze(2).expand({1, -1, 3, -1});
            ops::rms_norm_wgrad_(heads, heads.flip(1), 1e-6, x[2], norm);
            return Tensors{cut, whole, norm};
          },
          {make({tokens, n}, dtype, 1), make({tokens, k}, dtype, 2), starts,
           make({n, k}, at::kFloat, 3), make({k}, at::kFloat, 4)}))
          << what << ", " << tokens << " tokens, " << n << " x " << k;
    }
  });
}

// The starts of groups of four sequences, of tokens cut evenly; of more than two groups the second
// is empty.
at::Tensor starts_of_groups(int64_t groups, int64_t tokens) {
  const auto edge = [&](int64_t g) { return (groups > 2 && g == 2 ? 1 : g) * tokens / groups; };
  std::vector<int64_t> starts;
  for (int64_t g = 0; g < groups; ++g) {
    for (const int64_t quarter : {0, 1, 1, 3, 4}) {
      starts.push_back(edge(g) + quarter * (edge(g + 1) - edge(g)) / 4);
    }
  }
  return testing::starts_of(starts).view({groups, 5});
}

TEST_F(CudaTest, GradientsOfGroupsAreTheirTree) {
  for_all_values([](at::ScalarType dtype, Make make, const std::string& what) {
    for (const auto& [tokens, n, k] : std::vector<std::array<int64_t, 3>>{
             {9, 5, 7}, {37, 64, 40}, {130, 96, 200}, {403, 200, 264}, {700, 1000, 64}}) {
      for (const int64_t groups : {2, 8, 16}) {
        const at::Tensor ids = (at::arange(tokens, at::kLong) * 7 % (n + 3)).unsqueeze(0);
        EXPECT_TRUE(agrees(
            [](const Tensors& x) {
              const at::Tensor product = x[3].clone();
              ops::linear_wgrad_(x[0], x[1], x[2], product);
              const at::Tensor norm = x[4].clone();
              ops::rms_norm_wgrad_(x[1].unsqueeze(0), x[1].flip(0).unsqueeze(0), 1e-6, x[2], norm);
              const at::Tensor table = x[3].clone();
              ops::embedding_wgrad_(x[1].unsqueeze(0), x[5], 1, x[2], table);
              const at::Tensor tied = x[3].clone();
              const at::Tensor head = x[3].clone();
              ops::tied_wgrad_(x[1].unsqueeze(0), x[5], 1, x[2], x[0], x[1], x[2], tied, head);
              return Tensors{product, norm, table, tied, head};
            },
            {make({tokens, n}, dtype, 1), make({tokens, k}, dtype, 2),
             starts_of_groups(groups, tokens), make({n, k}, at::kFloat, 3),
             make({k}, at::kFloat, 4), ids}))
            << what << ", " << tokens << " tokens in " << groups << " groups, " << n << " x " << k;
      }
    }
  });
}

// Sequences that end with their boxes leave nothing to clear, so the warps that would go on as fast
// as boxes arrive. Many times, since boxes are out of order only now and then: a warp that is misled
// hangs the card.
TEST_F(CudaTest, GradientsOfLongSequencesAtModelSizes) {
  constexpr int64_t kGroups = 8;
  constexpr int64_t kTokens = 4096;
  std::vector<int64_t> starts;  // of groups of one sequence, every other one empty
  for (int64_t g = 0; g < kGroups; ++g) {
    for (const int64_t edge : {g / 2, (g + 1) / 2}) starts.push_back(edge * kTokens * 2 / kGroups);
  }
  EXPECT_TRUE(agrees(
      [](const Tensors& x) {
        at::Tensor sum;
        for (int run = 0; run < (x[0].is_cuda() ? 200 : 1); ++run) {
          sum = x[3].clone();
          ops::linear_wgrad_(x[0], x[1], x[2], sum);
        }
        return Tensors{sum};
      },
      {random_tensor({kTokens, 2048}, at::kBFloat16, 1),
       random_tensor({kTokens, 1024}, at::kBFloat16, 2),
       testing::starts_of(starts).view({kGroups, 2}), random_tensor({2048, 1024}, at::kFloat, 3)}));
}

void expect_linear_of_many_rows(const std::vector<SlicedShape>& sizes) {
  for_both_makes([&](Make make, const std::string& what) {
    for (const SlicedShape& size : sizes) {
      expect_products_agree(size, size.slice == 0 ? 0 : size.n / 8, at::kBFloat16, make, what);
    }
  });
}

// Ends inside a tile, rows of the result that are not aligned, and slices of the numbers that the
// kernel joins itself, one longer than k among them.
TEST_F(CudaTest, LinearOfManyRows) {
  expect_linear_of_many_rows({{64, 64, 64, 0},
                              {64, 65, 56, 128},
                              {70, 77, 1000, 0},
                              {200, 136, 200, 0},
                              {130, 200, 320, 40},
                              {130, 200, 512, 128},
                              {300, 520, 512, 256},
                              {40, 33000, 64, 0}});
}

// The larger tiles.
TEST_F(CudaTest, LinearOfManyRowsAtModelSizes) {
  expect_linear_of_many_rows(
      {{512, 2048, 256, 32}, {512, 3072, 128, 0}, {512, 3072, 256, 64}, {4096, 1024, 64, 0}});
}

TEST_F(CudaTest, Rows) {
  for_all_values([](at::ScalarType dtype, Make make, const std::string& what) {
    for (const int64_t dim : {1, 15, 64, 1000, 1003, 6144}) {
      const Tensors in{make({37, dim}, dtype, 1), make({37, dim}, dtype, 2), make({dim}, dtype, 3)};
      for (const bool fused : {false, true}) {
        EXPECT_TRUE(agrees(
            [=](const Tensors& x) {
              return Tensors{ops::rms_norm(x[0], x[2], 1e-6, fused),
                             ops::silu_mul(x[0], x[1], fused)};
            },
            in))
            << what << ", " << dim;
      }
      EXPECT_TRUE(agrees(
          [](const Tensors& x) {
            Tensors out = list(ops::silu_mul_backward(x[0], x[1], x[0]));
            for (const at::Tensor& each : list(ops::residual_rms_norm(x[0], x[1], x[2], 1e-6))) {
              out.push_back(each);
            }
            out.push_back(ops::residual_add(x[0], x[1]));
            out.push_back(ops::rms_norm_dgrad(x[0], x[1], x[2], 1e-6));
            out.push_back(testing::rms_norm_wgrad(x[0], x[1], 1e-6));
            return out;
          },
          in))
          << what << ", " << dim;
    }
  });
}

TEST_F(CudaTest, Rotations) {
  for_all_values([](at::ScalarType dtype, Make make, const std::string& what) {
    const Tensors in{make({1, 9, 3, 34}, dtype, 1), make({34}, dtype, 2),
                     random_tensor({20, 17}, at::kFloat, 3), random_tensor({20, 17}, at::kFloat, 4),
                     at::tensor({3, 0, 19, 7, 7, 1, 2, 18, 5}).to(at::kLong).view({1, 9})};
    EXPECT_TRUE(agrees(
        [](const Tensors& x) {
          Tensors out = list(ops::rms_norm_rope(x[0], x[1], 1e-6, x[2], x[3], x[4]));
          out.push_back(ops::rope(x[0], x[2], x[3], x[4], false));
          out.push_back(ops::rope(x[0], x[2], x[3], x[4], true));
          return out;
        },
        in))
        << what;
  });
}

TEST_F(CudaTest, Vocabulary) {
  for_all_values([](at::ScalarType dtype, Make make, const std::string& what) {
    const at::Tensor ids = at::tensor({5, 0, 39, 5, 12, 5, 60, 0}).to(at::kLong).view({1, 8});
    EXPECT_TRUE(agrees(
        [](const Tensors& x) {
          return Tensors{ops::embedding(x[0], x[1], 3),
                         testing::embedding_wgrad(x[2], x[0], 40, 3)};
        },
        {ids, make({40, 33}, dtype, 1), make({1, 8, 33}, dtype, 2)}))
        << what;
    const at::Tensor targets = at::tensor({0, 700, 13, 256, 255}).to(at::kLong);
    EXPECT_TRUE(agrees(
        [](const Tensors& x) {
          Tensors out = list(ops::log_softmax_gather(x[0], x[1], 701));
          out.push_back(ops::log_softmax_gather_backward(x[2], x[0], x[1], out[1], 701));
          return out;
        },
        {make({5, 704}, dtype, 3), targets, random_tensor({5}, at::kFloat, 4)}))
        << what;
    const at::Tensor keys = at::randint(0, int64_t{1} << 32, {5, 2}, testing::seeded(5),
                                        at::TensorOptions().dtype(at::kLong));
    struct Draw {
      double temperature;
      int64_t top_k;
      double top_p;
    };
    for (const auto [temperature, top_k, top_p] :
         std::vector<Draw>{{1, 0, 1}, {0, 0, 1}, {0.7, 40, 1}, {1.3, 0, 0.9}, {1, 300, 0.5}}) {
      EXPECT_TRUE(agrees(
          [=](const Tensors& x) {
            return list(ops::sample(x[0], x[1], 701, 42, temperature, top_k, top_p));
          },
          {make({5, 704}, dtype, 6), keys}))
          << what << ", temperature " << temperature << ", top_k " << top_k << ", top_p " << top_p;
    }
  });
}

TEST_F(CudaTest, LossAndOptimizer) {
  for (const Make make : {Make(random_tensor), Make(hostile_tensor)}) {
    EXPECT_TRUE(agrees(
        [](const Tensors& x) {
          Tensors out = list(ops::grpo_loss(x[0], x[1], x[2], x[3], x[4], 8, 0.2, 0.01, 0.1));
          out.push_back(
              ops::grpo_loss_backward(x[5], x[0], x[1], x[2], x[3], x[4], 8, 0.2, 0.01, 0.1));
          return out;
        },
        {make({19}, at::kFloat, 1), make({19}, at::kFloat, 2), testing::starts_of({0, 7, 7, 19}),
         make({3}, at::kFloat, 3), at::scalar_tensor(100, at::kLong), make({3}, at::kFloat, 4)}));
  }
  for_all_values([](at::ScalarType dtype, Make make, const std::string& what) {
    for (const int64_t slice : {0, 5, 16}) {
      for (const int64_t dim : {0, 1}) {
        EXPECT_TRUE(
            agrees([=](const Tensors& x) { return Tensors{ops::sum_squares(x[0], dim, slice)}; },
                   {make({48, 700}, dtype, 5)}))
            << what << ", slice " << slice << ", dim " << dim;
      }
    }
    for (const bool has_master : {false, true}) {
      EXPECT_TRUE(agrees(
          [=](const Tensors& x) {
            const auto [norm, scale] = ops::clip_scale({x[5], x[6], x[5]}, 1.0);
            ops::adamw_(x[0], has_master ? std::optional(x[1]) : std::nullopt, x[2], x[3], x[4],
                        scale, x[7], 1e-3, 0.9, 0.999, 1e-8, 0.01);
            return Tensors{x[0], x[1], x[2], x[3], norm, scale};
          },
          {make({333}, dtype, 6), make({333}, at::kFloat, 7), make({333}, at::kFloat, 8),
           make({333}, at::kFloat, 9).abs(), make({333}, dtype, 10),
           at::scalar_tensor(0.3, at::kFloat), at::scalar_tensor(7.5, at::kFloat),
           at::scalar_tensor(7, at::kLong)}))
          << what;
    }
  });
}

TEST_F(CudaTest, Attention) {
  for_all_values([](at::ScalarType dtype, Make make, const std::string& what) {
    struct Shape {
      int64_t heads, kv_heads, dim;
    };
    for (const auto [heads, kv_heads, dim] :
         std::vector<Shape>{{4, 2, 16}, {6, 2, 40}, {2, 1, 128}, {3, 3, 5}}) {
      const std::vector<int32_t> ends{0, 1, 1, 70, 199, 215};
      const Tensors in{make({1, 215, heads, dim}, dtype, 1),
                       make({1, 215, kv_heads, dim}, dtype, 2),
                       make({1, 215, kv_heads, dim}, dtype, 3), boundaries(ends),
                       make({1, 215, heads, dim}, dtype, 4)};
      EXPECT_TRUE(agrees(
          [](const Tensors& x) {
            const auto [out, lse] = ops::flash_attention(x[0], x[1], x[2], x[3], 0.3);
            return Tensors{out, lse};
          },
          in))
          << what << ", forward, head size " << dim;
      EXPECT_TRUE(agrees(
          [](const Tensors& x) {
            const auto [out, lse] = ops::flash_attention(x[0], x[1], x[2], x[3], 0.3);
            return list(ops::flash_attention_backward(x[4], x[0], x[1], x[2], out, lse, x[3], 0.3));
          },
          in))
          << what << ", backward, head size " << dim;
    }
  });
}

TEST_F(CudaTest, PagedAttention) {
  for_all_values([](at::ScalarType dtype, Make make, const std::string& what) {
    // Pages of 16 in any order; sequences decode, prefill, and go on with a prefill.
    const at::Tensor table =
        at::randperm(40, testing::seeded(7), at::TensorOptions().dtype(at::kInt)).view({4, 10});
    const at::Tensor slots = at::tensor({-1, 3, 639, 17}).to(at::kLong);
    EXPECT_TRUE(agrees(
        [](const Tensors& x) {
          ops::write_kv(x[1], x[2], x[6], x[7], x[8]);
          const auto [normed, rotated] = ops::rms_norm_rope_write_kv_(
              x[6], x[9], 1e-6, x[10], x[10], x[11], x[1], x[2], x[7], x[12]);
          return Tensors{ops::paged_attention(x[0], x[1], x[2], x[3], x[4], x[5], 0.25), x[1], x[2],
                         normed, rotated};
        },
        {make({1, 90, 4, 64}, dtype, 1), make({40, 16, 2, 64}, dtype, 2),
         make({40, 16, 2, 64}, dtype, 3), table, boundaries({0, 1, 71, 72, 80}),
         at::tensor({130, 70, 64, 100}, at::kInt), make({1, 4, 2, 64}, dtype, 4),
         make({1, 4, 2, 64}, dtype, 5), slots, make({64}, dtype, 6), make({9, 32}, at::kFloat, 7),
         at::tensor({3, 0, 8, 1}).to(at::kLong).view({1, 4}),
         at::tensor({5, 630, -1, 9}).to(at::kLong)}))
        << what;
  });
}

// Fused operators where a card has kernels of their own: at model sizes, few rows and many, widths
// that fill the last block and that do not.
TEST_F(CudaTest, FusedProducts) {
  for_both_makes([](Make make, const std::string& what) {
    struct Shape {
      int64_t rows, dim;
      std::vector<int64_t> widths;  // of q, k, v; gate and up take the first
    };
    for (const auto& [rows, dim, widths] : std::vector<Shape>{{1, 1024, {2048, 1024, 1024}},
                                                              {8, 1024, {3072, 1024, 1024}},
                                                              {16, 1024, {300, 8, 1}},
                                                              {17, 512, {264, 64, 64}},
                                                              {40, 1024, {2048, 24, 40}},
                                                              {48, 80, {100, 16, 24}},
                                                              {49, 128, {64, 32, 32}},
                                                              {5, 2048, {96, 96, 96}},
                                                              {3, 36, {32, 8, 8}}}) {
      const auto dtype = at::kBFloat16;
      const Tensors in{make({rows, dim}, dtype, 1),      make({dim}, dtype, 2),
                       make({widths[0], dim}, dtype, 3), make({widths[1], dim}, dtype, 4),
                       make({widths[2], dim}, dtype, 5), make({widths[0], dim}, dtype, 6),
                       make({rows, widths[0]}, dtype, 7)};
      EXPECT_TRUE(agrees(
          [&, dim = dim](const Tensors& x) {
            Tensors out = list(ops::rms_norm_linear_qkv(x[0], x[1], 1e-6, x[2], x[3], x[4], dtype));
            for (const at::Tensor& each :
                 list(ops::rms_norm_linear_silu_mul(x[0], x[1], 1e-6, x[2], x[5], dtype))) {
              out.push_back(each);
            }
            for (const int64_t slice : {int64_t{0}, dim / 8}) {
              for (const at::Tensor& each :
                   list(ops::linear_residual_add(x[0], x[2], slice, dtype, x[6]))) {
                out.push_back(each);
              }
            }
            return out;
          },
          in))
          << fmt::format("{}, {} rows of {} by {}", what, rows, dim, widths[0]);
    }
  });
}

TEST_F(CudaTest, FusedQueriesAndKeys) {
  for_all_values([](at::ScalarType dtype, Make make, const std::string& what) {
    for (const int64_t dim : {16, 64, 128}) {
      const int64_t tokens = 9;
      EXPECT_TRUE(agrees(
          [](const Tensors& x) {
            Tensors out = list(ops::rms_norm_rope_qk_write_kv_(
                x[0], x[1], x[2], x[3], 1e-6, x[4], x[5], x[6], x[7], x[8], x[9], x[10]));
            out.push_back(x[7]);
            out.push_back(x[8]);
            return out;
          },
          {make({1, tokens, 6, dim}, dtype, 1), make({dim}, dtype, 2),
           make({1, tokens, 3, dim}, dtype, 3), make({dim}, dtype, 4),
           make({20, dim / 2}, at::kFloat, 5), make({20, dim / 2}, at::kFloat, 6),
           (at::arange(tokens) * 7 % 20).view({1, tokens}), make({4, 8, 3, dim}, dtype, 7),
           make({4, 8, 3, dim}, dtype, 8), make({1, tokens, 3, dim}, dtype, 9),
           at::tensor({5, -1, 31, 0, 2, 9, 17, -1, 30}).to(at::kLong)}))
          << what << ", head size " << dim;
    }
  });
}

// Few sequences of one token, for which there is a kernel of its own, and more: slots that are the
// last keys of their sequences, others' older keys, and nowhere; pages that a table has twice.
TEST_F(CudaTest, FusedDecodeSteps) {
  for_both_makes([](Make make, const std::string& what) {
    struct Shape {
      int64_t tokens, heads, kv_heads, dim, pages;
    };
    for (const auto [tokens, heads, kv_heads, dim, pages] :
         std::vector<Shape>{{1, 16, 8, 128, 19},
                            {3, 16, 8, 128, 19},
                            {8, 16, 8, 128, 19},
                            {9, 16, 8, 128, 19},
                            {2, 4, 2, 64, 40},
                            {1, 6, 2, 128, 120},
                            {1, 2, 1, 128, 300},
                            {8, 16, 8, 128, 70},
                            {4, 16, 1, 64, 3},
                            {5, 2, 1, 128, 1},
                            {2, 40, 2, 128, 10}}) {
      const auto dtype = at::kBFloat16;
      const int64_t cache = tokens * pages + 2;
      const auto ints = at::TensorOptions().dtype(at::kInt);
      const at::Tensor table = at::randint(cache, {tokens, pages}, testing::seeded(7), ints);
      const at::Tensor lengths = at::randint(1, pages * 16 + 1, {tokens}, testing::seeded(8), ints);
      const at::Tensor last = (lengths - 1).to(at::kLong);
      at::Tensor slots =
          table.to(at::kLong).gather(1, last.div(16, "floor").unsqueeze(1)).squeeze(1) * 16 +
          last % 16;
      if (tokens > 2) slots[2] = -1;
      if (tokens > 3) slots[3] = table[0][0].item<int64_t>() * 16 + 1;
      EXPECT_TRUE(agrees(
          [](const Tensors& x) {
            Tensors out = list(ops::rms_norm_rope_paged_attention_(
                x[0], x[1], x[2], x[3], 1e-6, x[4], x[5], x[6], x[7], x[8], x[9], x[10], x[11],
                x[12], x[13], 0.09));
            out.push_back(x[7]);
            out.push_back(x[8]);
            return out;
          },
          {make({1, tokens, heads, dim}, dtype, 1), make({dim}, dtype, 2),
           make({1, tokens, kv_heads, dim}, dtype, 3), make({dim}, dtype, 4),
           make({50, dim / 2}, at::kFloat, 5), make({50, dim / 2}, at::kFloat, 6),
           (at::arange(tokens) * 7 % 50).view({1, tokens}),
           make({cache, 16, kv_heads, dim}, dtype, 7), make({cache, 16, kv_heads, dim}, dtype, 8),
           make({1, tokens, kv_heads, dim}, dtype, 9), slots, table,
           at::arange(tokens + 1).to(at::kInt), lengths}))
          << fmt::format("{}, {} tokens, {} heads of {}, {} pages", what, tokens, heads, dim,
                         pages);
    }
  });
}

// Steps of one token a sequence have kernels of their own: at the ends of tiles, of several chunks
// of tiles and of more chunks than a block has weights of at once, with groups of heads of any
// size, and with padding.
TEST_F(CudaTest, PagedAttentionOfDecodeSteps) {
  struct Shape {
    int64_t heads, kv_heads, dim;
  };
  for_all_values([](at::ScalarType dtype, Make make, const std::string& what) {
    for (const auto [heads, kv_heads, dim] :
         std::vector<Shape>{{4, 2, 128}, {20, 1, 64}, {3, 3, 16}, {2, 1, 48}, {2, 2, 256}}) {
      const at::Tensor table =
          at::randperm(6 * 80, testing::seeded(7), at::TensorOptions().dtype(at::kInt))
              .view({6, 80});
      EXPECT_TRUE(agrees(
          [](const Tensors& x) {
            return Tensors{ops::paged_attention(x[0], x[1], x[2], x[3], x[4], x[5], 0.1)};
          },
          {make({1, 6, heads, dim}, dtype, 1), make({480, 16, kv_heads, dim}, dtype, 2),
           make({480, 16, kv_heads, dim}, dtype, 3), table, boundaries({0, 1, 2, 3, 3, 4, 5}),
           at::tensor({1, 64, 65, 9, 300, 1270}, at::kInt)}))
          << what << ", " << heads << " heads over " << kv_heads << ", head size " << dim;
    }
  });
}

// A row of a real vocabulary is cut among many blocks.
TEST_F(CudaTest, VocabularyAtModelSizes) {
  constexpr int64_t kVocab = 151669;
  for_all_values([](at::ScalarType dtype, Make make, const std::string& what) {
    EXPECT_TRUE(agrees(
        [](const Tensors& x) {
          Tensors out = list(ops::sample(x[0], x[1], kVocab, 42, 1.0, 0, 1.0));
          for (const at::Tensor& y : list(ops::sample(x[0], x[1], kVocab, 42, 0.0, 0, 1.0))) {
            out.push_back(y);
          }
          for (const at::Tensor& y : list(ops::log_softmax_gather(x[0], out[0], kVocab))) {
            out.push_back(y);
          }
          return out;
        },
        {make({2, 151936}, dtype, 1), at::tensor({0, 3, 9, 1}).to(at::kLong).view({2, 2})}))
        << what;
  });
}

// So many rows that a thread has several ids, and passes over those that surely lose.
TEST_F(CudaTest, SampleOfManyRows) {
  constexpr int64_t kRows = 264;
  constexpr int64_t kVocab = 9001;
  const at::Tensor keys = at::randint(0, int64_t{1} << 32, {kRows, 2}, testing::seeded(5),
                                      at::TensorOptions().dtype(at::kLong));
  for_all_values([&](at::ScalarType dtype, Make make, const std::string& what) {
    for (const double temperature : {0.05, 1.0, 40.0}) {
      EXPECT_TRUE(agrees(
          [=](const Tensors& x) {
            return list(ops::sample(x[0], x[1], kVocab, 42, temperature, 0, 1.0));
          },
          {make({kRows, 9008}, dtype, 1), keys}))
          << what << ", temperature " << temperature;
    }
  });
}

TEST_F(CudaTest, DigestSums) {
  for_all_values([](at::ScalarType dtype, Make make, const std::string& what) {
    for (const std::vector<int64_t>& sizes :
         std::vector<std::vector<int64_t>>{{}, {0}, {1}, {33, 7}, {1000, 1003}}) {
      EXPECT_TRUE(agrees(
          [](const Tensors& x) {
            return Tensors{ops::digest_sums(x[0]), ops::digest_sums(x[0].isnan().to(at::kLong)),
                           ops::digest_sums(x[0].isnan())};
          },
          {make(sizes, dtype, 1)}))
          << what;
    }
  });
}

TEST_F(CudaTest, DigestRows) {
  for_all_values([](at::ScalarType dtype, Make make, const std::string& what) {
    for (const int64_t rows : {0, 1, 700}) {
      EXPECT_TRUE(agrees(
          [](const Tensors& x) {
            const Tensors values = {x[0], x[0].isnan(), x[0].isnan().to(at::kLong), x[1], x[0]};
            return Tensors{ops::digest_rows(values, {9, 9, 9, 1, 1}, {0, 0, 1, -1, -1}, x[2]),
                           ops::digest_rows(Tensors(128, x[1]), std::vector<int64_t>(128, 7),
                                            std::vector<int64_t>(128, 1), x[2])};
          },
          {make({700, 9}, dtype, 1), make({33, 7}, dtype, 2), at::tensor({rows, int64_t{3}})}))
          << what;
    }
  });
}

// The comparison sees one flipped bit, and cuBLAS is not the contract on wide exponents.
TEST_F(CudaTest, ComparisonCanFail) {
  const at::Tensor x = random_tensor({5, 64}, at::kBFloat16, 1);
  at::Tensor flipped = x.clone();
  flipped.view(at::kShort)[2][3] = flipped.view(at::kShort)[2][3].item<int16_t>() ^ 1;
  const at::Tensor weight = random_tensor({8, 64}, at::kBFloat16, 2).to(at::kCUDA);
  const auto product = [&](const at::Tensor& a) {
    return ops::linear(a.to(at::kCUDA), weight, 0, 0, at::kFloat).cpu();
  };
  EXPECT_TRUE(same_bits(product(x), product(x)));
  EXPECT_FALSE(same_bits(product(x), product(flipped)));
  EXPECT_FALSE(
      same_bits(product(x), at::matmul(x.to(at::kFloat), weight.cpu().to(at::kFloat).t())));
}

TEST_F(CudaTest, FaultsSpeakAsTheCpuDoes) {
  const auto words_of = [](const std::function<void()>& f) -> std::string {
    try {
      f();
    } catch (const c10::Error& error) {
      return error.what_without_backtrace();
    }
    return "no error";
  };
  const auto rotate = [](c10::Device device) {
    const auto options = at::TensorOptions().device(device);
    ops::rope(at::ones({1, 2, 1, 4}, options), at::ones({9, 2}, options), at::ones({9, 2}, options),
              at::tensor({1, 99}).to(at::kLong).view({1, 2}).to(device), false);
  };
  const std::string there = words_of([&] {
    rotate(at::kCUDA);
    at::empty({}, at::kCUDA).fill_(0).cpu();  // waits
    throw_device_fault();
  });
  EXPECT_EQ(there, words_of([&] { rotate(at::kCPU); }));
  EXPECT_EQ(words_of(throw_device_fault), "no error");
}

}  // namespace
}  // namespace samebits
