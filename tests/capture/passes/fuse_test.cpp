#include "harness/capture/passes/fuse.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "harness/capture/executor.h"
#include "harness/capture/passes/drop_roundings.h"
#include "harness/capture/print.h"
#include "harness/dtensor/dtensor.h"
#include "harness/kernels/functional.h"
#include "tests/capture/support.h"
#include "tests/capture/test_ops.h"

namespace samebits {
namespace {

using passes::drop_roundings;
using passes::fuse;
using passes::PassResult;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr double kEps = 1e-6;
constexpr int64_t kDim = 48;

at::Tensor values(int64_t rows, uint64_t seed, at::ScalarType dtype = at::kBFloat16) {
  return at::randn({1, rows, kDim}, at::detail::createCPUGenerator(seed)).to(dtype);
}

at::Tensor norm_weight() { return values(1, 9)[0][0].clone(); }

// in0 + in1, named; its norm, named; the sum plus the norm
Tensors block(const Tensors& in, const at::Tensor& weight) {
  const at::Tensor sum = ops::residual_add(in[0], in[1]);
  ops::mark(sum, "sum#0");
  const at::Tensor normed = ops::rms_norm(sum, weight, kEps, /*fused_rounding=*/false);
  ops::mark(normed, "normed#0");
  return {ops::residual_add(sum, normed)};
}

Executor executor_of(PassResult result) {
  return Executor(std::make_shared<const ir::Graph>(std::move(result.graph)));
}

TEST(Fuse, GivesOneNodeForTheTwoAndKeepsTheBits) {
  const at::Tensor weight = norm_weight();
  const Program program = [&](const Tensors& in) { return block(in, weight); };
  const auto graph = traced(program, {values(6, 1), values(6, 2)}, {{0, 1, "t"}, {1, 1, "t"}});
  PassResult result = fuse(*graph);
  EXPECT_EQ(to_string(result.graph),
            "inputs:\n"
            "  %in0: bf16[1, t, 48]\n"
            "  %in1: bf16[1, t, 48]\n"
            "constants:\n"
            "  %c0: bf16[48]\n"
            "nodes:\n"
            "  %0: bf16[1, t, 48], %1: bf16[1, t, 48] = samebits::residual_rms_norm(%in0, %in1, "
            "%c0, eps=1e-06)   # sum#0\n"
            "  samebits::mark(%0, site=\"sum#0\")\n"
            "  samebits::mark(%1, site=\"normed#0\")\n"
            "  %2: bf16[1, t, 48] = samebits::residual_add(%0, %1)\n"
            "return %2\n");
  EXPECT_THAT(result.log,
              ElementsAre("fused %0: bf16[1, t, 48] = samebits::residual_add(%in0, %in1)   # "
                          "sum#0; %1: bf16[1, t, 48] = samebits::rms_norm(%0, %c0, eps=1e-06, "
                          "fused_rounding=false)   # normed#0"));
  Executor executor = executor_of(std::move(result));
  for (const int64_t n : {0, 1, 6, 33}) {
    const Tensors in{values(n, 3), values(n, 4)};
    EXPECT_TRUE(same_bits(executor.run(in)[0], program(in)[0])) << n;
  }
}

// The twin of the test above: what a fusion that drops a rounding does is seen.
TEST(DropRoundings, ChangesTheBitsInBf16AndOnlyThere) {
  const at::Tensor weight = norm_weight();
  for (const auto dtype : {at::kBFloat16, at::kFloat}) {
    const at::Tensor w = weight.to(dtype);
    const Program program = [&](const Tensors& in) {
      const at::Tensor h = block(in, w)[0];
      return Tensors{ops::silu_mul(h, h, /*fused_rounding=*/false)};
    };
    const Tensors in{values(33, 1, dtype), values(33, 2, dtype)};
    PassResult result = drop_roundings(*traced(program, in, {}));
    ASSERT_EQ(result.log.size(), 2u);
    EXPECT_THAT(result.log[0], HasSubstr("dropped a rounding of %1: "));
    EXPECT_THAT(to_string(result.graph), HasSubstr("fused_rounding=true"));
    EXPECT_THAT(to_string(result.graph), ::testing::Not(HasSubstr("fused_rounding=false")));
    EXPECT_TRUE(drop_roundings(result.graph).log.empty());
    EXPECT_TRUE(fuse(result.graph).log.empty());  // fused, the norm would round again
    const at::Tensor got = executor_of(std::move(result)).run(in)[0];
    EXPECT_EQ(same_bits(got, program(in)[0]), dtype == at::kFloat);
  }
}

// Sharded by tokens, as sequence parallelism does.
TEST(Fuse, KeepsTheBitsOfUnevenShards) {
  for (const int ranks : {1, 2, 3}) {
    const auto mesh = make_local_mesh(ranks);
    const auto sharded = [&](int64_t n, uint64_t seed) {
      return distribute_tensor(values(n, seed), mesh, Placement::shard(1));
    };
    const at::Tensor weight = distribute_tensor(norm_weight(), mesh, Placement::replicate());
    const Program program = [&](const Tensors& in) { return Tensors{block(in, weight)}; };
    PassResult result =
        fuse(*traced(program, {sharded(6, 1), sharded(6, 2)}, {{0, 1, "t"}, {1, 1, "t"}}));
    EXPECT_EQ(result.log.size(), 1u);
    Executor executor = executor_of(std::move(result));
    for (const int64_t n : {1, 5, 8}) {
      const Tensors in{sharded(n, 3), sharded(n, 4)};
      const at::Tensor got = executor.run(in)[0];
      const at::Tensor expected = program(in)[0];
      for (int rank = 0; rank < ranks; ++rank) {
        EXPECT_TRUE(same_bits(locals_of(got)[rank], locals_of(expected)[rank]));
      }
    }
  }
}

size_t fused(const Program& program, const Tensors& inputs) {
  const auto graph = traced(program, inputs, {});
  const PassResult result = fuse(*graph);
  if (result.log.empty()) {
    EXPECT_EQ(to_string(result.graph), to_string(*graph));
  }
  return result.log.size();
}

TEST(Fuse, LeavesPlacementsThatTheFusedOperatorWouldChange) {
  const auto mesh = make_local_mesh(2);
  const at::Tensor weight = distribute_tensor(norm_weight(), mesh, Placement::replicate());
  const Program program = [&](const Tensors& in) { return block(in, weight); };
  const auto placed = [&](Placement a, Placement b) {
    return Tensors{distribute_tensor(values(6, 1), mesh, a),
                   distribute_tensor(values(6, 2), mesh, b)};
  };
  const Placement whole = Placement::replicate();
  EXPECT_EQ(fused(program, placed(whole, whole)), 1u);
  EXPECT_EQ(fused(program, placed(Placement::shard(1), whole)), 0u);
  EXPECT_EQ(fused(program, placed(Placement::shard(2), Placement::shard(2))), 0u);
}

TEST(Fuse, LeavesWhatIsWrittenBetweenOrComesLater) {
  const Tensors in{values(6, 1), values(6, 2)};
  const auto program = [](bool write_weight, bool late_weight) {
    const at::Tensor weight = norm_weight().view({1, kDim});
    return [=](const Tensors& x) {
      const at::Tensor sum = ops::residual_add(x[0], x[1]);
      if (write_weight) test_ops::store(weight, weight);
      const at::Tensor used = late_weight ? test_ops::maybe_add(weight, std::nullopt) : weight;
      return Tensors{ops::rms_norm(sum, used.view({kDim}), kEps, false)};
    };
  };
  // A view of the weight comes after the sum too.
  EXPECT_EQ(fused(program(false, false), in), 0u);
  EXPECT_EQ(fused(program(true, true), in), 0u);
  const at::Tensor weight = norm_weight();
  const auto direct = [&](bool write) {
    return [&weight, write](const Tensors& x) {
      const at::Tensor sum = ops::residual_add(x[0], x[1]);
      if (write) test_ops::store(weight, weight);
      return Tensors{ops::rms_norm(sum, weight, kEps, false)};
    };
  };
  EXPECT_EQ(fused(direct(true), in), 0u);
  EXPECT_EQ(fused(direct(false), in), 1u);
}

// The heads' norm and its rotation, with positions that are an input.
Program rotation(const at::Tensor& weight, bool inverse) {
  const at::Tensor angles = at::arange(40 * kDim / 2, at::kFloat).view({40, kDim / 2});
  return [weight, cos = angles.cos(), sin = angles.sin(), inverse](const Tensors& in) {
    const at::Tensor normed = ops::rms_norm(in[0], weight, kEps, /*fused_rounding=*/false);
    return Tensors{normed, ops::rope(normed, cos, sin, in[1], inverse)};
  };
}

TEST(Fuse, GivesOneNodeForANormAndItsRotation) {
  const auto heads = [](int64_t n, uint64_t seed) {
    return values(n * 3, seed).view({1, n, 3, kDim});
  };
  const auto positions = [](int64_t n) { return (at::arange(n) * 5 % 40).view({1, n}); };
  const Program program = rotation(norm_weight(), /*inverse=*/false);
  PassResult result =
      fuse(*traced(program, {heads(6, 1), positions(6)}, {{0, 1, "t"}, {1, 1, "t"}}));
  EXPECT_THAT(to_string(result.graph),
              HasSubstr("nodes:\n"
                        "  %0: bf16[1, t, 3, 48], %1: bf16[1, t, 3, 48] = "
                        "samebits::rms_norm_rope(%in0, %c0, eps=1e-06, %c1, %c2, %in1)\n"
                        "return %0, %1\n"));
  Executor executor = executor_of(std::move(result));
  for (const int64_t n : {0, 1, 17}) {
    const Tensors in{heads(n, 3), positions(n)};
    EXPECT_TRUE(same_bits(executor.run(in)[0], program(in)[0])) << n;
    EXPECT_TRUE(same_bits(executor.run(in)[1], program(in)[1])) << n;
  }
  const Tensors in{heads(6, 1), positions(6)};
  EXPECT_TRUE(fuse(*traced(rotation(norm_weight(), /*inverse=*/true), in, {})).log.empty());
  EXPECT_TRUE(fuse(drop_roundings(*traced(program, in, {})).graph).log.empty());
}

// Keys into a paged cache, which may be read or written first, on to the rotated keys.
struct KvWrite {
  at::Tensor k_cache = at::zeros({10, 4, 3, kDim}, at::kBFloat16);
  at::Tensor v_cache = at::zeros({10, 4, 3, kDim}, at::kBFloat16);
  at::Tensor weight = norm_weight();
  at::Tensor angles = at::arange(40 * kDim / 2, at::kFloat).view({40, kDim / 2});
  at::Tensor cos = angles.cos();
  at::Tensor sin = angles.sin();
  std::function<void(const at::Tensor& rotated)> between = [](const at::Tensor& rotated) {
    ops::mark(rotated, "rotated#0");
  };
  bool write_normed = false;

  // x, positions, v, slots
  Tensors operator()(const Tensors& in) const {
    const at::Tensor normed = ops::rms_norm(in[0], weight, kEps, /*fused_rounding=*/false);
    const at::Tensor rotated = ops::rope(normed, cos, sin, in[1], /*inverse=*/false);
    between(rotated);
    ops::write_kv(k_cache, v_cache, write_normed ? normed : rotated, in[2], in[3]);
    return {rotated};
  }
};

Tensors keys_and_values(int64_t n) {
  return {values(n * 3, 1).view({1, n, 3, kDim}), (at::arange(n) * 5 % 40).view({1, n}),
          values(n * 3, 2).view({1, n, 3, kDim}), at::arange(n) * 7 % 40};
}

//   x -> rms_norm -> rope -> mark
//                      |          -> one node that gives both and writes, and the mark
//                      + v -> write_kv
TEST(Fuse, TakesInTheWriteOfKeysAndValues) {
  const KvWrite program;
  const std::vector<DynamicDim> dims{{0, 1, "t"}, {1, 1, "t"}, {2, 1, "t"}, {3, 0, "t"}};
  PassResult result = fuse(*traced(program, keys_and_values(6), dims));
  EXPECT_THAT(to_string(result.graph),
              HasSubstr("nodes:\n"
                        "  %0: bf16[1, t, 3, 48], %1: bf16[1, t, 3, 48] = "
                        "samebits::rms_norm_rope_write_kv_(%in0, %c0, eps=1e-06, %c1, %c2, %in1, "
                        "%c3, %c4, %in2, %in3)   # rotated#0\n"
                        "  samebits::mark(%1, site=\"rotated#0\")\n"
                        "return %1\n"));
  ASSERT_EQ(result.log.size(), 2u);
  EXPECT_THAT(result.log[1], HasSubstr("; samebits::write_kv(%c3, %c4, %1, %in2, %in3)"));
  Executor executor = executor_of(std::move(result));
  for (const int64_t n : {0, 1, 17}) {
    const Tensors in = keys_and_values(n);
    program.k_cache.zero_();
    program.v_cache.zero_();
    const Tensors expected{program(in)[0], program.k_cache.clone(), program.v_cache.clone()};
    program.k_cache.zero_();
    program.v_cache.zero_();
    EXPECT_TRUE(same_bits(executor.run(in)[0], expected[0])) << n;
    EXPECT_TRUE(same_bits(program.k_cache, expected[1])) << n;
    EXPECT_TRUE(same_bits(program.v_cache, expected[2])) << n;
  }
}

TEST(Fuse, LeavesAWriteThatWouldPassWhatTouchesItsMemory) {
  const Tensors in = keys_and_values(6);
  const auto fusions = [&](auto change) {
    KvWrite program;
    change(program);
    return fused(program, in);
  };
  EXPECT_EQ(fusions([](KvWrite&) {}), 2u);
  EXPECT_EQ(fusions([](KvWrite& program) { program.write_normed = true; }), 1u);
  EXPECT_EQ(fusions([](KvWrite& program) {
              program.between = [cache = program.v_cache](const at::Tensor&) {
                ops::mark(cache, "values#0");
              };
            }),
            1u);
  EXPECT_EQ(fusions([](KvWrite& program) {
              program.between = [cache = program.k_cache](const at::Tensor&) {
                test_ops::store(cache, cache);
              };
            }),
            1u);
  // What is rotated is changed before it is written.
  EXPECT_EQ(fusions([](KvWrite& program) {
              program.between = [](const at::Tensor& rotated) {
                test_ops::store(rotated, rotated);
              };
            }),
            1u);
}

// Changes of one program, of which the first is none.
struct Projections {
  std::vector<at::Tensor> weights{values(8, 20)[0], values(8, 21)[0], values(16, 22)[0]};
  int64_t slice = 0;
  bool fused_rounding = false;
  bool is_gated = false;
  at::ScalarType last_dtype = at::kBFloat16;

  // The norm of in0, its products, and what two of them make.
  Tensors operator()(const Tensors& in) const {
    const at::Tensor normed = ops::rms_norm(in[0], weight_, kEps, fused_rounding);
    ops::mark(normed, "normed#0");
    Tensors found{normed};
    for (size_t i = 0; i < weights.size(); ++i) {
      const bool is_last = i + 1 == weights.size();
      found.push_back(ops::linear(normed, weights[i], slice, /*dgrad_slice=*/4,
                                  is_last ? last_dtype : at::kBFloat16));
    }
    if (is_gated) found.push_back(ops::silu_mul(found[1], found[2], /*fused_rounding=*/false));
    return found;
  }

 private:
  at::Tensor weight_ = norm_weight();
};

TEST(Fuse, GivesOneNodeForANormAndThreeProducts) {
  const Projections program;
  PassResult result = fuse(*traced(program, {values(6, 1)}, {{0, 1, "t"}}));
  EXPECT_THAT(
      to_string(result.graph),
      HasSubstr("nodes:\n"
                "  %0: bf16[1, t, 48], %1: bf16[1, t, 8], %2: bf16[1, t, 8], %3: bf16[1, t, "
                "16] = samebits::rms_norm_linear_qkv(%in0, %c0, eps=1e-06, %c1, %c2, %c3, "
                "out_dtype=bf16)   # normed#0\n"
                "  samebits::mark(%0, site=\"normed#0\")\n"
                "return %0, %1, %2, %3\n"));
  Executor executor = executor_of(std::move(result));
  for (const int64_t n : {0, 1, 17}) {
    const Tensors in{values(n, 3)};
    const Tensors expected = program(in);
    const Tensors got = executor.run(in);
    for (size_t i = 0; i < expected.size(); ++i) EXPECT_TRUE(same_bits(got[i], expected[i])) << n;
  }
}

TEST(Fuse, GivesOneNodeForANormTwoProductsAndTheirGate) {
  Projections program;
  program.weights.pop_back();
  program.is_gated = true;
  PassResult result = fuse(*traced(program, {values(6, 1)}, {{0, 1, "t"}}));
  EXPECT_THAT(to_string(result.graph),
              HasSubstr("= samebits::rms_norm_linear_silu_mul(%in0, %c0, eps=1e-06, %c1, %c2, "
                        "out_dtype=bf16)"));
  EXPECT_EQ(result.graph.nodes.size(), 2u);  // and the mark
  Executor executor = executor_of(std::move(result));
  for (const int64_t n : {0, 1, 17}) {
    const Tensors in{values(n, 3)};
    const Tensors expected = program(in);
    const Tensors got = executor.run(in);
    for (size_t i = 0; i < expected.size(); ++i) EXPECT_TRUE(same_bits(got[i], expected[i])) << n;
  }
}

TEST(Fuse, LeavesProductsThatTheFusedOperatorWouldChange) {
  const auto fusions = [](auto change) {
    Projections program;
    change(program);
    return fused(program, {values(6, 1)});
  };
  EXPECT_EQ(fusions([](Projections&) {}), 1u);
  EXPECT_EQ(fusions([](Projections& p) { p.weights.pop_back(); }), 0u);
  EXPECT_EQ(fusions([](Projections& p) { p.slice = 6; }), 0u);
  EXPECT_EQ(fusions([](Projections& p) { p.fused_rounding = true; }), 0u);
  EXPECT_EQ(fusions([](Projections& p) { p.last_dtype = at::kFloat; }), 0u);
}

TEST(Fuse, GivesOneNodeForAProductAndItsSum) {
  const at::Tensor weight = values(8, 20)[0];
  const auto program = [&](bool is_first) {
    return [&weight, is_first](const Tensors& in) {
      const at::Tensor y = ops::linear(in[0], weight, /*slice=*/6, 0, at::kBFloat16);
      ops::mark(y, "y#0");
      return Tensors{y, is_first ? ops::residual_add(y, in[1]) : ops::residual_add(in[1], y)};
    };
  };
  const Tensors in{values(6, 1), values(6, 2).narrow(2, 0, 8).contiguous()};
  PassResult result = fuse(*traced(program(false), in, {}));
  EXPECT_THAT(
      to_string(result.graph),
      HasSubstr("= samebits::linear_residual_add(%in0, %c0, slice=6, out_dtype=bf16, %in1)"));
  const Tensors expected = program(false)(in);
  const Tensors got = executor_of(std::move(result)).run(in);
  EXPECT_TRUE(same_bits(got[0], expected[0]));
  EXPECT_TRUE(same_bits(got[1], expected[1]));
  EXPECT_EQ(fused(program(true), in), 0u);
}

// Queries beside the keys that are written, which may have other positions.
TEST(Fuse, GivesOneNodeForQueriesAndKeys) {
  const auto fusions = [](double q_eps, bool late_keys) {
    const auto program = [=, keys = KvWrite(),
                          q_weight = values(1, 30)[0][0].clone()](const Tensors& in) {
      const at::Tensor normed = ops::rms_norm(in[4], q_weight, q_eps, /*fused_rounding=*/false);
      const at::Tensor rotated = ops::rope(normed, keys.cos, keys.sin, in[1], /*inverse=*/false);
      const at::Tensor x = late_keys ? ops::silu_mul(in[0], in[0], false) : in[0];
      Tensors found = keys({x, in[1], in[2], in[3]});
      found.push_back(normed);
      found.push_back(rotated);
      found.push_back(keys.k_cache.clone());
      keys.k_cache.zero_();
      return found;
    };
    Tensors in = keys_and_values(6);
    in.push_back(values(6 * 5, 31).view({1, 6, 5, kDim}));
    PassResult result = fuse(*traced(program, in, {}));
    const size_t count = result.log.size();
    const Tensors expected = program(in);
    const Tensors got = executor_of(std::move(result)).run(in);
    for (size_t i = 0; i < expected.size(); ++i) EXPECT_TRUE(same_bits(got[i], expected[i])) << i;
    return count;
  };
  EXPECT_EQ(fusions(kEps, false), 4u);
  EXPECT_EQ(fusions(0.1, false), 3u);
  EXPECT_EQ(fusions(kEps, true), 3u);
}

TEST(Fuse, TakesOneNormOfASum) {
  const at::Tensor weight = norm_weight();
  const Program program = [&](const Tensors& in) {
    const at::Tensor sum = ops::residual_add(in[0], in[1]);
    return Tensors{ops::rms_norm(sum, weight, kEps, false), ops::rms_norm(sum, weight, 0.1, false)};
  };
  const Tensors in{values(6, 1), values(6, 2)};
  PassResult result = fuse(*traced(program, in, {}));
  EXPECT_EQ(result.log.size(), 1u);
  EXPECT_EQ(result.graph.nodes.size(), 2u);
  const Tensors got = executor_of(std::move(result)).run(in);
  EXPECT_TRUE(same_bits(got[0], program(in)[0]));
  EXPECT_TRUE(same_bits(got[1], program(in)[1]));
}

}  // namespace
}  // namespace samebits
