// The contract operators on DTensors against the same operators on plain tensors. The data are
// small whole numbers, or the operator works row by row, so every placement must give the bits of
// the plain call.

#include <gmock/gmock.h>

#include "harness/kernels/functional.h"
#include "tests/dtensor/support.h"

namespace samebits {
namespace {

using namespace testing_support;
using testing::HasSubstr;

class SamebitsOpsTest : public testing::TestWithParam<int64_t> {
 protected:
  void SetUp() override { at::manual_seed(7); }

  at::Tensor at_placement(const at::Tensor& whole, Placement placement) const {
    return laid_out(whole, mesh_, placement);
  }

  const int64_t n_ = GetParam();
  const c10::intrusive_ptr<DeviceMesh> mesh_ = make_local_mesh(n_);
};
INSTANTIATE_TEST_SUITE_P(Ranks, SamebitsOpsTest, testing::Values(1, 2, 3, 4));

TEST_P(SamebitsOpsTest, LinearAndItsGradients) {
  for (const int64_t tokens : {0, 1, 5}) {
    const at::Tensor x = whole_numbers({1, tokens, 7});
    const at::Tensor w = whole_numbers({5, 7});
    const at::Tensor dy = whole_numbers({1, tokens, 5});
    const at::Tensor y = ops::linear(x, w, 0, 0, at::kFloat);
    const at::Tensor dx = ops::linear_dgrad(dy, w, 0);
    const at::Tensor sum = whole_numbers({5, 7}).to(at::kFloat);
    const at::Tensor starts = at::tensor({0, std::min<int>(2, tokens), static_cast<int>(tokens)});
    const at::Tensor dw = sum.clone();
    ops::linear_wgrad_(dy, x, starts, dw);
    for (const Placement a : placements_of_rank(3)) {
      for (const Placement b : placements_of_rank(2)) {
        EXPECT_TRUE(
            same_value(ops::linear(at_placement(x, a), at_placement(w, b), 0, 0, at::kFloat), y))
            << a << b;
        EXPECT_TRUE(same_value(ops::linear_dgrad(at_placement(dy, a), at_placement(w, b), 0), dx))
            << a << b;
      }
      for (const Placement b : placements_of_rank(3)) {
        for (const Placement c :
             {Placement::shard(0), Placement::shard(1), Placement::replicate()}) {
          const at::Tensor found = at_placement(sum.clone(), c);
          ops::linear_wgrad_(at_placement(dy, a), at_placement(x, b), starts, found);
          EXPECT_TRUE(same_value(found, dw)) << a << b << c;
          EXPECT_EQ(spec_of(found).placement(), c);
        }
      }
    }
    EXPECT_THAT(error_of([&] {
                  ops::linear_wgrad_(dy, x, starts, at_placement(sum, Placement::partial()));
                }),
                HasSubstr("the sum of a gradient is P(sum), expected S(dim) or R"));
  }
}

TEST_P(SamebitsOpsTest, LinearPlacements) {
  const at::Tensor x = whole_numbers({1, 5, 8});
  const at::Tensor w = whole_numbers({8, 8});
  const auto placement = [&](Placement a, Placement b) {
    return spec_of(ops::linear(at_placement(x, a), at_placement(w, b), 0, 0, at::kFloat))
        .placement();
  };
  const auto r = Placement::replicate();
  EXPECT_EQ(placement(r, Placement::shard(0)), Placement::shard(2));
  EXPECT_EQ(placement(Placement::shard(1), Placement::shard(0)), Placement::shard(2));
  EXPECT_EQ(placement(Placement::shard(2), Placement::shard(1)), Placement::partial());
  EXPECT_EQ(placement(Placement::shard(1), r), Placement::shard(1));
  EXPECT_EQ(placement(r, r), r);
}

TEST_P(SamebitsOpsTest, APendingSumIsNotRoundedBeforeItEnds) {
  const at::Tensor x = whole_numbers({1, 5, 8}, at::kBFloat16);
  const at::Tensor w = whole_numbers({8, 8}, at::kBFloat16);
  const auto run = [&](at::ScalarType out) {
    return ops::linear(at_placement(x, Placement::shard(2)), at_placement(w, Placement::shard(1)),
                       0, 0, out);
  };
  EXPECT_THAT(error_of([&] { run(at::kBFloat16); }), HasSubstr("expected Float"));
  const at::Tensor pending = run(at::kFloat);
  EXPECT_EQ(spec_of(pending).placement(), Placement::partial());
  const at::Tensor rounded = pending.to(at::kBFloat16);
  EXPECT_EQ(spec_of(rounded).placement(), Placement::replicate());
  EXPECT_TRUE(same_value(rounded, ops::linear(x, w, 0, 0, at::kBFloat16)));
  // Widening commutes with the sum.
  EXPECT_EQ(spec_of(pending.to(at::kDouble)).placement(), Placement::partial());
}

// The slices of a row-parallel layer: random data, whose bits depend on the order of the sum.
TEST_P(SamebitsOpsTest, SlicedSumsHaveTheBitsOfTheWhole) {
  if (8 % n_ != 0) return;  // slices are whole on every rank at 1, 2, 4 and 8
  const at::Tensor x = at::randn({1, 5, 64});
  const at::Tensor w = at::randn({6, 64});
  const auto run = [&](int64_t slice) {
    return full_tensor(ops::linear(at_placement(x, Placement::shard(2)),
                                   at_placement(w, Placement::shard(1)), slice, 0, at::kFloat));
  };
  EXPECT_TRUE(same_bits(run(8), ops::linear(x, w, 8, 0, at::kFloat)));
  if (n_ > 1) {
    EXPECT_FALSE(same_bits(run(0), ops::linear(x, w, 0, 0, at::kFloat)));
  }
  const at::Tensor g = at::randn({64, 6});
  for (const int64_t slice : {64 / 8, 64 / 4}) {
    if (64 / n_ % slice != 0) continue;
    EXPECT_TRUE(
        same_bits(full_tensor(ops::sum_squares(at_placement(g, Placement::shard(0)), 0, slice)),
                  ops::sum_squares(g, 0, slice)));
  }
}

TEST_P(SamebitsOpsTest, RowByRow) {
  for (const int64_t tokens : {0, 1, 5}) {
    const at::Tensor x = at::randn({1, tokens, 6});
    const at::Tensor z = at::randn({1, tokens, 6});
    const at::Tensor w = at::randn({6});
    const at::Tensor heads = at::randn({1, tokens, 4, 6});
    const at::Tensor cos = at::randn({9, 3});
    const at::Tensor sin = at::randn({9, 3});
    const at::Tensor positions = at::arange(tokens).view({1, tokens});
    const auto [dgate, dup] = ops::silu_mul_backward(x, z, x);
    const auto [sum, norm] = ops::residual_rms_norm(x, z, w, 1e-6);
    const auto [head_norm, rotated] = ops::rms_norm_rope(heads, w, 1e-6, cos, sin, positions);
    for (const Placement a : placements_of_rank(3)) {
      if (a.is_partial()) continue;  // random summands are not exact
      const at::Tensor dx = at_placement(x, a);
      EXPECT_TRUE(same_value(ops::rms_norm(dx, at_placement(w, Placement::shard(0)), 1e-6, false),
                             ops::rms_norm(x, w, 1e-6, false)))
          << a;
      for (const Placement b : placements_of_rank(3)) {
        if (b.is_partial()) continue;
        const at::Tensor dz = at_placement(z, b);
        EXPECT_TRUE(
            same_value(ops::rms_norm_dgrad(dz, dx, w, 1e-6), ops::rms_norm_dgrad(z, x, w, 1e-6)));
        const at::Tensor starts =
            at::tensor({0, std::min<int>(2, tokens), static_cast<int>(tokens)});
        const at::Tensor found_dw = at_placement(at::zeros({6}), Placement::replicate());
        const at::Tensor dw = at::zeros({6});
        ops::rms_norm_wgrad_(dz, dx, 1e-6, starts, found_dw);
        ops::rms_norm_wgrad_(z, x, 1e-6, starts, dw);
        EXPECT_TRUE(same_value(found_dw, dw));
        EXPECT_TRUE(same_value(ops::silu_mul(dx, dz, false), ops::silu_mul(x, z, false)));
        EXPECT_TRUE(same_value(ops::residual_add(dx, dz), ops::residual_add(x, z)));
        const auto [found_sum, found_norm] = ops::residual_rms_norm(dx, dz, w, 1e-6);
        EXPECT_TRUE(same_value(found_sum, sum));
        EXPECT_TRUE(same_value(found_norm, norm));
        const auto [found_gate, found_up] = ops::silu_mul_backward(dx, dz, dx);
        EXPECT_TRUE(same_value(found_gate, dgate));
        EXPECT_TRUE(same_value(found_up, dup));
      }
    }
    for (const Placement a : placements_of_rank(4)) {
      if (a.is_partial()) continue;
      EXPECT_TRUE(same_value(ops::rope(at_placement(heads, a), cos, sin, positions, false),
                             ops::rope(heads, cos, sin, positions, false)))
          << a;
      const auto [found_norm, found_rotated] =
          ops::rms_norm_rope(at_placement(heads, a), w, 1e-6, cos, sin, positions);
      EXPECT_TRUE(same_value(found_norm, head_norm)) << a;
      EXPECT_TRUE(same_value(found_rotated, rotated)) << a;
    }
  }
}

TEST_P(SamebitsOpsTest, Embedding) {
  for (const int64_t rows : {1, 3, 8, 11}) {
    const at::Tensor w = at::randn({rows, 4});
    const at::Tensor ids = at::randint(0, rows, {1, 6}, at::kLong);
    const at::Tensor dy = whole_numbers({1, 6, 4});
    for (const Placement a : {Placement::shard(0), Placement::shard(1), Placement::replicate()}) {
      for (const Placement b : {Placement::shard(1), Placement::replicate()}) {
        const at::Tensor weight = at_placement(w, a);
        const at::Tensor y = ops::embedding(at_placement(ids, b), weight, 0);
        EXPECT_TRUE(same_value(y, ops::embedding(ids, w, 0))) << a << b;
        EXPECT_EQ(spec_of(y).placement().is_partial(), a.is_shard(0));
      }
      for (const Placement b : placements_of_rank(3)) {
        const at::Tensor sum = at::randn({rows, 4});
        const at::Tensor found = at_placement(sum.clone(), a);
        const at::Tensor expected = sum.clone();
        ops::embedding_wgrad_(at_placement(dy, b), ids, 0, std::nullopt, found);
        ops::embedding_wgrad_(dy, ids, 0, std::nullopt, expected);
        EXPECT_TRUE(same_value(found, expected)) << a << b;
      }
      // As the head, too; of one group, and of two.
      const at::Tensor dlogits = whole_numbers({1, 5, rows});
      const at::Tensor h = whole_numbers({1, 5, 4});
      for (const auto& [starts, row_starts] :
           {std::pair{at::tensor({0, 2, 6}, at::kInt).view({1, 3}),
                      at::tensor({0, 1, 5}).view({1, 3})},
            std::pair{at::tensor({0, 2, 2, 6}, at::kInt).view({2, 2}),
                      at::tensor({0, 1, 1, 5}).view({2, 2})}}) {
        const at::Tensor at_rows = row_starts.to(at::kInt);
        const at::Tensor sum = whole_numbers({rows, 4});
        const at::Tensor found = at_placement(sum.clone(), a);
        const at::Tensor found_head = at_placement(sum.clone(), a);
        const at::Tensor expected = sum.clone();
        const at::Tensor expected_head = sum.clone();
        ops::tied_wgrad_(at_placement(dy, Placement::shard(1)), ids, 0, starts,
                         at_placement(dlogits, Placement::shard(2)), h, at_rows, found, found_head);
        ops::tied_wgrad_(dy, ids, 0, starts, dlogits, h, at_rows, expected, expected_head);
        EXPECT_TRUE(same_value(found, expected)) << a;
        EXPECT_TRUE(same_value(found_head, expected_head)) << a;
      }
    }
  }
}

TEST_P(SamebitsOpsTest, AttentionByHeads) {
  for (const auto& [heads, groups] : {std::pair{24, 12}, std::pair{6, 3}, std::pair{4, 1}}) {
    const at::Tensor q = at::randn({1, 5, heads, 8});
    const at::Tensor k = at::randn({1, 5, groups, 8});
    const at::Tensor v = at::randn({1, 5, groups, 8});
    const at::Tensor boundaries = at::tensor({0, 2, 5}, at::kInt);
    const auto [out, lse] = ops::flash_attention(q, k, v, boundaries, 0.3);
    for (const Placement a : {Placement::shard(2), Placement::shard(1), Placement::replicate()}) {
      const auto [found, found_lse] =
          ops::flash_attention(at_placement(q, a), at_placement(k, Placement::shard(2)),
                               at_placement(v, a), boundaries, 0.3);
      EXPECT_TRUE(same_value(found, out)) << heads << " heads, " << a;
      EXPECT_TRUE(same_value(found_lse, lse)) << heads << " heads, " << a;
      const bool divides = heads % n_ == 0 && groups % n_ == 0;
      EXPECT_EQ(spec_of(found).placement(), divides ? Placement::shard(2) : Placement::replicate());
    }
  }
}

TEST_P(SamebitsOpsTest, AttentionGradientsByHeads) {
  const at::Tensor q = at::randn({1, 5, 24, 8});
  const at::Tensor k = at::randn({1, 5, 12, 8});
  const at::Tensor v = at::randn({1, 5, 12, 8});
  const at::Tensor dout = at::randn({1, 5, 24, 8});
  const at::Tensor boundaries = at::tensor({0, 2, 5}, at::kInt);
  const auto [out, lse] = ops::flash_attention(q, k, v, boundaries, 0.3);
  const auto [dq, dk, dv] = ops::flash_attention_backward(dout, q, k, v, out, lse, boundaries, 0.3);
  for (const Placement a : {Placement::shard(2), Placement::replicate()}) {
    const auto [found_q, found_k, found_v] = ops::flash_attention_backward(
        at_placement(dout, a), at_placement(q, Placement::shard(2)), at_placement(k, a),
        at_placement(v, a), at_placement(out, a), lse, boundaries, 0.3);
    EXPECT_TRUE(same_value(found_q, dq)) << a;
    EXPECT_TRUE(same_value(found_k, dk)) << a;
    EXPECT_TRUE(same_value(found_v, dv)) << a;
  }
}

TEST_P(SamebitsOpsTest, ThePagedCacheByHeads) {
  const at::Tensor q = at::randn({1, 3, 24, 8});
  const at::Tensor k = at::randn({1, 3, 12, 8});
  const at::Tensor v = at::randn({1, 3, 12, 8});
  const at::Tensor k_cache = at::zeros({4, 2, 12, 8});
  const at::Tensor v_cache = at::zeros({4, 2, 12, 8});
  const at::Tensor slots = at::tensor({6, 7, 2}, at::kLong);
  const at::Tensor table = at::tensor({3, 1}, at::kInt).view({1, 2});
  const at::Tensor boundaries = at::tensor({0, 3}, at::kInt);
  const at::Tensor lengths = at::tensor({3}, at::kInt);
  for (const Placement a : {Placement::shard(2), Placement::replicate()}) {
    const at::Tensor found_k = at_placement(k_cache, a);
    const at::Tensor found_v = at_placement(v_cache, a);
    ops::write_kv(found_k, found_v, at_placement(k, Placement::shard(2)), at_placement(v, a),
                  slots);
    const at::Tensor whole_k = k_cache.clone();
    const at::Tensor whole_v = v_cache.clone();
    ops::write_kv(whole_k, whole_v, k, v, slots);
    EXPECT_TRUE(same_value(found_k, whole_k)) << a;
    EXPECT_FALSE(same_value(found_k, k_cache)) << "nothing was written";
    EXPECT_TRUE(same_value(found_v, whole_v)) << a;
    EXPECT_TRUE(
        same_value(ops::paged_attention(at_placement(q, Placement::shard(2)), found_k, found_v,
                                        table, boundaries, lengths, 0.3),
                   ops::paged_attention(q, whole_k, whole_v, table, boundaries, lengths, 0.3)))
        << a;
  }
}

TEST_P(SamebitsOpsTest, FusedKeysFollowTheirCaches) {
  const at::Tensor x = at::randn({1, 3, 12, 8});
  const at::Tensor v = at::randn({1, 3, 12, 8});
  const at::Tensor weight = at::randn({8});
  const at::Tensor cos = at::randn({9, 4});
  const at::Tensor sin = at::randn({9, 4});
  const at::Tensor positions = at::arange(3).view({1, 3});
  const at::Tensor zeros = at::zeros({4, 2, 12, 8});
  const at::Tensor slots = at::tensor({6, -1, 2}, at::kLong);
  const auto run = [&](const at::Tensor& keys, const at::Tensor& k_cache, const at::Tensor& v_cache,
                       const at::Tensor& values) {
    const auto [normed, rotated] = ops::rms_norm_rope_write_kv_(
        keys, weight, 1e-6, cos, sin, positions, k_cache, v_cache, values, slots);
    return std::vector<at::Tensor>{normed, rotated, k_cache, v_cache};
  };
  const auto expected = run(x, zeros.clone(), zeros.clone(), v);
  EXPECT_FALSE(same_value(expected[2], zeros)) << "nothing was written";
  for (const Placement a : {Placement::shard(2), Placement::replicate()}) {
    for (const Placement b : placements_of_rank(4)) {
      if (b.is_partial()) continue;  // random summands are not exact
      const auto found = run(at_placement(x, b), at_placement(zeros, a), at_placement(zeros, a),
                             at_placement(v, b));
      for (size_t i = 0; i < expected.size(); ++i) {
        EXPECT_TRUE(same_value(found[i], expected[i])) << a << b << i;
        EXPECT_EQ(spec_of(found[i]).placement(), a);
      }
    }
  }
  EXPECT_THAT(error_of([&] {
                run(x, at_placement(zeros, Placement::shard(2)),
                    at_placement(zeros, Placement::replicate()), v);
              }),
              HasSubstr("k_cache is S(2), v_cache is R; expected the same placement"));
}

// What a graph is given where nothing is split: whole on every rank, however it comes.
TEST_P(SamebitsOpsTest, FusedProductsAreWholeEverywhere) {
  const at::Tensor x = at::randn({1, 5, 8});
  const at::Tensor norm = at::randn({8});
  const at::Tensor w = at::randn({6, 8});
  const at::Tensor residual = at::randn({1, 5, 6});
  const auto run = [&](const at::Tensor& rows, const at::Tensor& weight) {
    const auto [normed, q, k, v] =
        ops::rms_norm_linear_qkv(rows, norm, 1e-6, weight, w, weight, at::kFloat);
    const auto [again, gate, up, gated] =
        ops::rms_norm_linear_silu_mul(rows, norm, 1e-6, weight, w, at::kFloat);
    const auto [y, sum] = ops::linear_residual_add(rows, weight, 2, at::kFloat, residual);
    return std::vector<at::Tensor>{normed, q, k, v, again, gate, up, gated, y, sum};
  };
  const std::vector<at::Tensor> expected = run(x, w);
  for (const Placement a : placements_of_rank(3)) {
    for (const Placement b : placements_of_rank(2)) {
      if (a.is_partial() || b.is_partial()) continue;  // random summands are not exact
      const std::vector<at::Tensor> found = run(at_placement(x, a), at_placement(w, b));
      for (size_t i = 0; i < expected.size(); ++i) {
        EXPECT_TRUE(same_value(found[i], expected[i])) << a << b << i;
        EXPECT_EQ(spec_of(found[i]).placement(), Placement::replicate());
      }
    }
  }
}

TEST_P(SamebitsOpsTest, FusedAttentionFollowsItsCaches) {
  const auto run = [](int64_t kv_heads, const at::Tensor& q, const at::Tensor& cache) {
    const at::Tensor norm = at::ones({8});
    const at::Tensor angles = at::arange(36, at::kFloat).view({9, 4});
    const at::Tensor k = at::arange(3 * kv_heads * 8, at::kFloat).sin().view({1, 3, kv_heads, 8});
    const at::Tensor ends = at::tensor({0, 1, 3}, at::kInt);
    const at::Tensor table = at::tensor({0, 1, 2, 3}, at::kInt).view({2, 2});
    const auto [q_normed, q_rotated, k_normed, k_rotated, out] =
        ops::rms_norm_rope_paged_attention_(q, norm, k, norm, 1e-6, angles.cos(), angles.sin(),
                                            at::arange(3).view({1, 3}), cache, cache.clone(), k,
                                            at::tensor({1, 4, 5}, at::kLong), table, ends,
                                            at::tensor({2, 2}, at::kInt), 0.3);
    return std::vector<at::Tensor>{q_normed, q_rotated, k_normed, k_rotated, out, cache};
  };
  const int64_t heads = 2 * n_;
  const at::Tensor q = at::randn({1, 3, 2 * heads, 8});
  const at::Tensor cache = at::randn({4, 2, heads, 8});
  const auto expected = run(heads, q, cache.clone());
  EXPECT_FALSE(same_value(expected[5], cache)) << "nothing was written";
  for (const Placement a : {Placement::shard(2), Placement::replicate()}) {
    for (const Placement b : placements_of_rank(4)) {
      if (b.is_partial()) continue;
      const auto found = run(heads, at_placement(q, b), at_placement(cache, a));
      for (size_t i = 0; i < expected.size(); ++i) {
        EXPECT_TRUE(same_value(found[i], expected[i])) << a << b << i;
        EXPECT_EQ(spec_of(found[i]).placement(), a);
      }
    }
  }
  if (n_ == 1) return;
  // Heads that do not divide: a rank would take queries to another group's keys.
  EXPECT_THAT(error_of([&] {
                run(n_ + 1, at::randn({1, 3, 2 * n_ + 2, 8}),
                    at_placement(at::randn({4, 2, n_ + 1, 8}), Placement::shard(2)));
              }),
              HasSubstr("do not divide by"));
}

TEST_P(SamebitsOpsTest, LossAndSamplerSeeTheWhole) {
  const at::Tensor logprobs = at::randn({7});
  const at::Tensor reference = at::randn({7});
  const at::Tensor starts = at::tensor({0, 3, 7});
  const at::Tensor half = at::full({2}, 0.5);
  const at::Tensor nine = at::scalar_tensor(9, at::kLong);
  const auto [loss, stats] =
      ops::grpo_loss(logprobs, reference, starts, half, nine, 2, 0.2, 0.01, 0.1);
  const at::Tensor gradient = ops::grpo_loss_backward(at::ones({2}), logprobs, reference, starts,
                                                      half, nine, 2, 0.2, 0.01, 0.1);
  const at::Tensor logits = at::randn({4, 16});
  const at::Tensor keys = at::arange(8, at::kLong).view({4, 2});
  const auto [token, logprob] = ops::sample(logits, keys, 13, 42, 1.0, 0, 1.0);
  for (const Placement a : {Placement::shard(0), Placement::replicate()}) {
    const at::Tensor x = at_placement(logprobs, a);
    const auto [found_loss, found_stats] =
        ops::grpo_loss(x, reference, starts, half, nine, 2, 0.2, 0.01, 0.1);
    EXPECT_TRUE(same_value(found_loss, loss));
    EXPECT_TRUE(same_value(found_stats, stats));
    EXPECT_TRUE(same_value(
        ops::grpo_loss_backward(at::ones({2}), x, reference, starts, half, nine, 2, 0.2, 0.01, 0.1),
        gradient));
    const auto [found_token, found_logprob] =
        ops::sample(at_placement(logits, a), keys, 13, 42, 1.0, 0, 1.0);
    EXPECT_TRUE(same_value(found_token, token));
    EXPECT_TRUE(same_value(found_logprob, logprob));
  }
}

TEST_P(SamebitsOpsTest, ScoresRowByRow) {
  const at::Tensor logits = at::randn({1, 5, 16});
  const at::Tensor targets = at::randint(0, 13, {1, 5}, at::kLong);
  const auto [logprob, lse] = ops::log_softmax_gather(logits, targets, 13);
  for (const Placement a : {Placement::shard(1), Placement::shard(2), Placement::replicate()}) {
    const auto [found, found_lse] = ops::log_softmax_gather(at_placement(logits, a), targets, 13);
    EXPECT_TRUE(same_value(found, logprob));
    EXPECT_TRUE(same_value(found_lse, lse));
    EXPECT_EQ(spec_of(found).placement().is_shard(), a.is_shard(1));
    EXPECT_TRUE(same_value(
        ops::log_softmax_gather_backward(found, at_placement(logits, a), targets, found_lse, 13),
        ops::log_softmax_gather_backward(logprob, logits, targets, lse, 13)));
  }
}

TEST_P(SamebitsOpsTest, ClippingTakesPendingSumsOfSquares) {
  const at::Tensor g = whole_numbers({8, 3});
  const at::Tensor h = whole_numbers({4});
  const auto [norm, scale] =
      ops::clip_scale({ops::sum_squares(g, 0, 0), ops::sum_squares(h, 0, 0)}, 1.0);
  const at::Tensor pending = ops::sum_squares(at_placement(g, Placement::shard(0)), 0, 0);
  EXPECT_TRUE(spec_of(pending).placement().is_partial());
  const auto [found, found_scale] = ops::clip_scale({pending, ops::sum_squares(h, 0, 0)}, 1.0);
  EXPECT_TRUE(spec_of(found).placement().is_replicate());
  EXPECT_TRUE(same_value(found, norm));
  EXPECT_TRUE(same_value(found_scale, scale));
}

TEST_P(SamebitsOpsTest, AdamwWritesTheShards) {
  const at::Tensor w = at::randn({5, 3});
  const at::Tensor g = whole_numbers({5, 3});
  const at::Tensor expected = w.clone();
  const at::Tensor m = at::zeros({5, 3});
  const at::Tensor v = at::zeros({5, 3});
  const at::Tensor scale = at::ones({});
  const at::Tensor step = at::scalar_tensor(1, at::kLong);
  ops::adamw_(expected, std::nullopt, m, v, g, scale, step, 0.1, 0.9, 0.99, 1e-8, 0.01);
  for (const Placement a : {Placement::shard(0), Placement::shard(1), Placement::replicate()}) {
    for (const Placement b : placements_of_rank(2)) {
      const at::Tensor weight = at_placement(w, a);
      const at::Tensor dm = at::zeros_like(weight);
      const at::Tensor dv = at::zeros_like(weight);
      // Numbers may be plain or DTensors.
      ops::adamw_(weight, std::nullopt, dm, dv, at_placement(g, b), scale,
                  at_placement(step, Placement::replicate()), 0.1, 0.9, 0.99, 1e-8, 0.01);
      EXPECT_TRUE(same_value(weight, expected)) << a << b;
      EXPECT_TRUE(same_value(dm, m));
      EXPECT_TRUE(same_value(dv, v));
    }
  }
  const at::Tensor weight = at_placement(w, Placement::shard(0));
  const at::Tensor state = at_placement(m, Placement::replicate());
  EXPECT_THAT(error_of([&] {
                ops::adamw_(weight, std::nullopt, state, state, g, scale, step, 0.1, 0.9, 0.99,
                            1e-8, 0.01);
              }),
              HasSubstr("expected the weight's placement S(0)"));
}

}  // namespace
}  // namespace samebits
