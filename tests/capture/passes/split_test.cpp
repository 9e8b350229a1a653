#include "harness/capture/passes/split.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "harness/capture/piecewise.h"
#include "harness/capture/print.h"
#include "tests/capture/support.h"
#include "tests/capture/test_ops.h"

namespace samebits {
namespace {

using passes::Piece;
using passes::split;
using passes::SplitGraph;
using test_ops::affine;
using ::testing::ElementsAre;

const std::vector<std::string> kOperators{"samebits_test::store", "samebits_test::join"};

// in0 -> halves -> (a, b) | store(cache, a); join(b, in0) | affine(join, cache) -> repeat(n)
Tensors cut_twice(const Tensors& in, const at::Tensor& cache) {
  const Tensors half = test_ops::halves(in[0]);
  test_ops::store(cache, half[0]);
  const at::Tensor joined = test_ops::join({half[1], in[0]});
  return {affine(test_ops::repeat_rows(joined, in[0].sym_size(0)), in[1], 0.25),
          affine(cache, in[1], 1), in[0], cache};
}

TEST(Split, GivesPiecesWithTheValuesThatCross) {
  const at::Tensor cache = at::zeros({20, 3});
  const auto graph = traced([&](const Tensors& in) { return cut_twice(in, cache); },
                            {rows(6), rows(1)}, {{0, 0, "s0"}});
  const SplitGraph parts = split(graph, kOperators);
  ASSERT_EQ(parts.pieces.size(), 3u);
  EXPECT_EQ(to_string(*parts.pieces[0].graph),
            "inputs:\n"
            "  %in0: f32[s0, 3]\n"
            "nodes:\n"
            "  [%0: f32[s0//2, 3], %1: f32[s0 - s0//2, 3]] = samebits_test::halves(%in0)\n"
            "return %0, %1\n");
  EXPECT_EQ(to_string(*parts.pieces[1].graph),
            "inputs:\n"
            "  %in0: f32[s0//2, 3]\n"
            "  %in1: f32[s0 - s0//2, 3]\n"
            "  %in2: f32[s0, 3]\n"
            "constants:\n"
            "  %c0: f32[20, 3]\n"
            "nodes:\n"
            "  samebits_test::store(%c0, %in0)\n"
            "  %0: f32[2*s0 - s0//2, 3] = samebits_test::join([%in1, %in2])\n"
            "return %0\n");
  EXPECT_FALSE(parts.pieces[0].at_split);
  EXPECT_TRUE(parts.pieces[1].at_split);
  EXPECT_FALSE(parts.pieces[2].at_split);
  EXPECT_THAT(parts.log, ElementsAre("piece 0: nodes 0 to 0, 1 inputs, 2 outputs",
                                     "piece 1: nodes 1 to 2 (split here), 3 inputs, 1 outputs",
                                     "piece 2: nodes 3 to 5, 2 inputs, 2 outputs"));
}

TEST(Split, LeavesAGraphWithoutTheOperatorsWhole) {
  const auto graph = traced([](const Tensors& in) { return Tensors{affine(in[0], in[1], 0)}; },
                            {rows(6), rows(1)}, {{0, 0, "s0"}});
  const SplitGraph parts = split(graph, kOperators);
  ASSERT_EQ(parts.pieces.size(), 1u);
  EXPECT_EQ(to_string(*parts.pieces[0].graph), to_string(*graph));
}

TEST(PiecewiseExecutor, HasTheBitsOfTheWhole) {
  at::Tensor cache = at::zeros({20, 3});
  const Program program = [&](const Tensors& in) { return cut_twice(in, cache); };
  int64_t executed = 0;
  const auto make = [&](const Piece& piece, size_t index) -> RunPiece {
    return [&executed, inner = execute_piece(piece, index)](const Tensors& inputs,
                                                            const std::vector<int64_t>& symbols) {
      ++executed;
      return inner(inputs, symbols);
    };
  };
  PiecewiseExecutor piecewise(
      split(traced(program, {rows(6), rows(1)}, {{0, 0, "s0"}}), kOperators), make);
  for (const int64_t n : {0, 1, 6, 9, 17}) {
    cache.zero_();
    Tensors expected;
    for (const at::Tensor& x : program({rows(n), rows(1)})) expected.push_back(x.clone());
    cache.zero_();
    const Tensors got = piecewise.run({rows(n), rows(1)});
    ASSERT_EQ(got.size(), expected.size());
    for (size_t i = 0; i < got.size(); ++i) EXPECT_TRUE(same_bits(got[i], expected[i])) << n;
    EXPECT_TRUE(got[3].is_same(cache));
  }
  EXPECT_EQ(executed, 15);
}

// The twin: a piece that is executed wrongly is seen in the outputs, and it alone.
TEST(PiecewiseExecutor, LetsAnotherLayerExecuteAPiece) {
  const at::Tensor cache = at::zeros({20, 3});
  const Program program = [&](const Tensors& in) { return cut_twice(in, cache); };
  std::vector<bool> at_split;
  const auto make = [&](const Piece& piece, size_t index) -> RunPiece {
    at_split.push_back(piece.at_split);
    const RunPiece inner = execute_piece(piece, index);
    if (index != 1) return inner;
    return [inner](const Tensors& inputs, const std::vector<int64_t>& symbols) {
      Tensors outputs = inner(inputs, symbols);
      return Tensors{outputs[0] + 1e-6f};
    };
  };
  PiecewiseExecutor piecewise(
      split(traced(program, {rows(6), rows(1)}, {{0, 0, "s0"}}), kOperators), make);
  const Tensors expected = program({rows(6), rows(1)});
  const Tensors got = piecewise.run({rows(6), rows(1)});
  EXPECT_FALSE(same_bits(got[0], expected[0]));
  EXPECT_TRUE(same_bits(got[1], expected[1]));
  EXPECT_THAT(at_split, ElementsAre(false, true, false));
}

// a | accumulate_(a) | a again: the value that the second piece writes is the third one's.
TEST(PiecewiseExecutor, CarriesWhatAPieceWritesInPlace) {
  const Program program = [](const Tensors& in) {
    at::Tensor a = affine(in[0], in[1], 0);
    test_ops::accumulate_(a, in[1]);
    return Tensors{affine(a, in[1], 1)};
  };
  const SplitGraph parts =
      split(traced(program, {rows(6), rows(1)}, {{0, 0, "s0"}}), {"samebits_test::accumulate_"});
  ASSERT_EQ(parts.pieces.size(), 3u);
  EXPECT_EQ(parts.pieces[1].outputs, parts.pieces[0].outputs);
  PiecewiseExecutor piecewise(parts);
  EXPECT_TRUE(same_bits(piecewise.run({rows(5), rows(1)})[0], program({rows(5), rows(1)})[0]));
}

TEST(PiecewiseExecutor, RefusesInputsAsTheWholeDoes) {
  const auto graph = traced([](const Tensors& in) { return Tensors{affine(in[0], in[1], 0)}; },
                            {rows(6), rows(1)}, {{0, 0, "s0"}});
  PiecewiseExecutor piecewise(split(graph, kOperators));
  EXPECT_EQ(error_of([&] {
              piecewise.run({rows(5, 2), rows(1)});
            }),
            "captured program, input 0, size of dimension 1: found 2, expected 3");
  // A piece alone has nothing to bind its symbols with.
  Executor piece(piecewise.split().pieces[0].graph);
  EXPECT_THAT(error_of([&] {
                piece.run({rows(5), rows(1)});
              }),
              ::testing::HasSubstr("do not bind its symbols"));
}

}  // namespace
}  // namespace samebits
