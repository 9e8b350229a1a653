#include "harness/capture/passes/digest_marks.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "harness/capture/executor.h"
#include "harness/capture/print.h"
#include "harness/dtensor/dtensor.h"
#include "harness/kernels/digest_rows.h"
#include "harness/kernels/functional.h"
#include "tests/capture/support.h"
#include "tests/capture/test_ops.h"

namespace samebits {
namespace {

using passes::digest_marks;
using passes::DigestedGraph;
using test_ops::affine;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

const std::vector<DynamicDim> kRows = {{0, 0, "s0"}};

at::Tensor named(const at::Tensor& x, const std::string& site) {
  ops::mark(x, site);
  return x;
}

// Marks digested by a graph of one symbol.
struct Digested : DigestedGraph {
  explicit Digested(const std::shared_ptr<const ir::Graph>& source,
                    const std::vector<std::string>& splitting = {}, int64_t hosted_ranks = 1)
      : Digested(source, splitting, hosted_ranks, at::zeros({1}, at::kLong)) {}

  // What it gives when only `count` rows of the inputs are no padding.
  Tensors run(const Tensors& inputs, int64_t count) const {
    at::Tensor(symbols).fill_(count);
    return Executor(std::make_shared<const ir::Graph>(graph)).run(inputs, {inputs[0].size(0)});
  }

  at::Tensor symbols;

 private:
  Digested(const std::shared_ptr<const ir::Graph>& source,
           const std::vector<std::string>& splitting, int64_t hosted_ranks,
           const at::Tensor& symbols)
      : DigestedGraph(digest_marks(*source, symbols, splitting, hosted_ranks)), symbols(symbols) {}
};

std::vector<size_t> digests_at(const ir::Graph& graph) {
  std::vector<size_t> found;
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    if (ir::op_name(graph.nodes[i].op) == "samebits::digest_rows") found.push_back(i);
  }
  return found;
}

// in0 -> affine (a) -> affine (b), and a table of its own size (c)
Tensors two_layers(const Tensors& in, const at::Tensor& table) {
  const at::Tensor a = named(affine(in[0], in[1], 0.25), "a");
  named(table, "c");
  return {named(affine(a, in[1], 1), "b")};
}

TEST(DigestMarks, GiveOutputsMoreAndKeepTheRest) {
  const at::Tensor table = rows(2);
  const auto graph =
      traced([&](const Tensors& in) { return two_layers(in, table); }, {rows(6), rows(1)}, kRows);
  const Digested digested(graph);
  EXPECT_EQ(to_string(digested.graph),
            "inputs:\n"
            "  %in0: f32[s0, 3]\n"
            "  %in1: f32[1, 3]\n"
            "constants:\n"
            "  %c0: i64[1]\n"
            "  %c1: f32[2, 3]\n"
            "nodes:\n"
            "  %0: f32[s0, 3] = samebits_test::affine(%in0, %in1, bias=0.25)   # a\n"
            "  %1: f32[s0, 3] = samebits_test::affine(%0, %in1, bias=1.0)   # b\n"
            "  %2: i64[3, 2] = samebits::digest_rows([%0, %c1, %1], widths=[3, 1, 3], rows=[0, "
            "-1, 0], %c0)\n"
            "return %1, %2\n");
  ASSERT_EQ(digested.marks.size(), 3u);
  EXPECT_EQ(digested.marks[1].site, "c");
  EXPECT_EQ(digested.marks[2].meta.sizes[0].str(), "s0");
}

TEST(DigestMarks, DigestWhatIsNoPadding) {
  const at::Tensor table = rows(2);
  const Program program = [&](const Tensors& in) { return two_layers(in, table); };
  const Digested digested(traced(program, {rows(6), rows(1)}, kRows), {"samebits_test::affine"});
  EXPECT_THAT(digests_at(digested.graph), ElementsAre(1, 3));
  for (const int64_t count : {0, 1, 4, 9}) {
    const Tensors got = digested.run({rows(9), rows(1)}, count);
    ASSERT_EQ(got.size(), 3u);
    const at::Tensor a = affine(rows(9), rows(1), 0.25).narrow(0, 0, count);
    EXPECT_TRUE(same_bits(got[0], program({rows(9), rows(1)})[0]));
    EXPECT_TRUE(same_bits(got[1][0], ops::digest_sums(a)));
    EXPECT_TRUE(same_bits(got[1][1], ops::digest_sums(table)));
    EXPECT_TRUE(same_bits(got[2][0], ops::digest_sums(affine(a, rows(1), 1))));
    EXPECT_EQ(same_bits(got[2], digested.run({rows(9), rows(1)}, 9)[2]), count == 9);
  }
}

TEST(DigestMarks, DigestACopyOfWhatIsWritten) {
  const at::Tensor cache = at::zeros({20, 3});
  const auto digested = [&](bool is_marked) {
    return Digested(traced(
        [&](const Tensors& in) -> Tensors {
          const at::Tensor x = named(affine(in[0], in[1], 0), "x");
          if (is_marked) named(cache, "cache");
          test_ops::store(cache, x);
          return {named(affine(x, in[1], 1), "y")};
        },
        {rows(6), rows(1)}, kRows));
  };
  EXPECT_EQ(ir::op_name(digested(true).graph.nodes[1].op), "aten::clone");
  EXPECT_THAT(digests_at(digested(true).graph), ElementsAre(4));
  EXPECT_THAT(digests_at(digested(false).graph), ElementsAre(3));
  const Tensors got = digested(true).run({rows(6), rows(1)}, 6);
  EXPECT_TRUE(same_bits(got[1][1], ops::digest_sums(at::zeros({20, 3}))));
  EXPECT_FALSE(same_bits(got[1][1], ops::digest_sums(cache)));
}

TEST(DigestMarks, TakeAsManyAtOnceAsALaunchDoes) {
  const Digested digested(traced(
      [](const Tensors& in) -> Tensors {
        at::Tensor x = in[0];
        for (int64_t i = 0; i <= kMaxDigestedValues; ++i) {
          x = named(affine(x, in[1], 1), fmt::format("x{}", i));
        }
        return {x};
      },
      {rows(6), rows(1)}, kRows));
  EXPECT_EQ(digested.marks.back().site, fmt::format("x{}", kMaxDigestedValues));
  const Tensors got = digested.run({rows(6), rows(1)}, 6);
  ASSERT_EQ(got.size(), 3u);
  EXPECT_EQ(got[1].size(0), kMaxDigestedValues);
  EXPECT_TRUE(same_bits(got[2][0], ops::digest_sums(got[0])));
}

TEST(DigestMarks, SeeADTensorWhole) {
  const auto mesh = make_local_mesh(2);
  const Digested digested(
      traced(
          [&](const Tensors& in) -> Tensors {
            return {full_tensor(named(redistribute(in[0], Placement::replicate()), "x")),
                    full_tensor(named(in[0], "shards"))};
          },
          {distribute_tensor(rows(6), mesh, Placement::shard(0))}, kRows),
      {}, 2);
  EXPECT_EQ(digested.marks[1].meta.placements, "");
  EXPECT_EQ(digested.marks[0].digests, 2);
  EXPECT_EQ(digested.marks[1].digests, 1);
  const Tensors got = digested.run({distribute_tensor(rows(9), mesh, Placement::shard(0))}, 7);
  ASSERT_EQ(got.size(), 3u);
  for (const int64_t k : {0, 1, 2}) {
    EXPECT_TRUE(same_bits(got[2][k], ops::digest_sums(rows(9).narrow(0, 0, 7))));
  }
}

TEST(DigestMarks, SeeEachRanksCopyOfAReplicate) {
  const auto mesh = make_local_mesh(3);
  const auto copies = [&](int64_t count) {
    return distribute_tensor(rows(count), mesh, Placement::replicate());
  };
  const Digested digested(
      traced([](const Tensors& in) -> Tensors { return {full_tensor(named(in[0], "x"))}; },
             {copies(6)}, kRows),
      {}, 3);
  const at::Tensor one_differs = copies(9);
  at::Tensor(locals_of(one_differs)[2]).narrow(0, 6, 1).add_(1);
  const at::Tensor sums = digested.run({one_differs}, 7)[1];
  EXPECT_TRUE(same_bits(sums[1], sums[0]));
  EXPECT_FALSE(same_bits(sums[2], sums[0]));
  const at::Tensor of_padding = digested.run({one_differs}, 6)[1];
  EXPECT_TRUE(same_bits(of_padding[2], of_padding[0]));
}

TEST(DigestMarks, RefuseWhatTheyCannotDigest) {
  const auto refused = [](const Program& program) {
    const auto graph = traced(program, {rows(6), rows(1)}, kRows);
    return error_of([&] { Digested{graph}; });
  };
  const auto marked = [&](const std::function<at::Tensor(const at::Tensor&)>& view) {
    return refused([&](const Tensors& in) { return Tensors{named(view(in[0]), "x")}; });
  };
  EXPECT_EQ(marked([](const at::Tensor& x) { return x.unsqueeze(0); }), "no error");
  EXPECT_THAT(marked([](const at::Tensor& x) { return x.transpose(0, 1); }),
              HasSubstr("x: padding in its size s0 would lie between what is observed"));
  EXPECT_THAT(marked([](const at::Tensor& x) { return test_ops::repeat_rows(x, 2); }),
              HasSubstr("x: padding in its size 2*s0"));
  EXPECT_THAT(
      refused([](const Tensors& in) { return Tensors{named(ops::sum_squares(in[1], 0, 0), "x")}; }),
      HasSubstr("the scalar x cannot be observed"));
  EXPECT_THAT(refused([](const Tensors& in) { return Tensors{affine(in[0], in[1], 0)}; }),
              HasSubstr("marks nothing"));
}

}  // namespace
}  // namespace samebits
