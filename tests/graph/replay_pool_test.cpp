// What a ReplayPool and its graphs do, on real CUDA graphs and on their emulation.

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "harness/kernels/functional.h"
#include "tests/graph/random_program.h"
#include "tests/kernels/tensors.h"
#include "tests/support/replay_pools.h"

namespace samebits {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::message_of;
using testing::random_tensor;
using testing::replay_with;
using testing::same_bits;
using Tensors = std::vector<at::Tensor>;

class PoolTest : public testing::ReplayPoolTest {
 protected:
  void SetUp() override {
    ReplayPoolTest::SetUp();
    if (IsSkipped()) return;
    x_ = on_device(random_tensor({4}, at::kFloat, 1));
    weight_ = on_device(random_tensor({4}, at::kFloat, 2));
  }

  StaticGraph graph_of(const Program& program, const Tensors& examples) {
    return StaticGraph("g", pool_, program, examples);
  }
  // x + weight; the weight is held by address.
  Program add_weight() {
    return [this](const Tensors& in) { return Tensors{ops::residual_add(in[0], weight_)}; };
  }
  std::string refusal_of(const Program& program) {
    return message_of([&] { graph_of(program, {on_device(at::ones({2, 2}))}); });
  }
  at::Tensor indices(at::IntArrayRef values) const { return on_device(at::tensor(values)); }

  at::Tensor x_, weight_;
};

TEST_P(PoolTest, ReplayGivesTheBitsOfEager) {
  for (uint64_t seed = 0; seed < 40; ++seed) {
    const at::ScalarType dtype = seed % 2 == 0 ? at::kFloat : at::kBFloat16;
    const testing::RandomProgram program(seed, dtype, GetParam().device);
    const int64_t tokens = 1 + static_cast<int64_t>(seed % 7);
    const at::Tensor index = indices({tokens - 1, 0});
    const auto input = [&](uint64_t values) {
      return on_device(random_tensor({1, tokens, program.kWidth}, dtype, values));
    };
    StaticGraph graph = graph_of(program, {input(1), index});
    for (uint64_t run = 0; run < 3; ++run) {
      const at::Tensor x = input(1000 * seed + run);
      const Tensors replayed = replay_with(graph, {x, index});
      EXPECT_TRUE(same_bits(replayed, program({x, index}))) << "seed " << seed;
      EXPECT_FALSE(same_bits(replayed, program({x + 1, index}))) << "seed " << seed;
    }
    const ReplayWitness& witness = graph.graph().witness();
    EXPECT_EQ(witness.replays, 3);
    EXPECT_GE(witness.launches, 3 * 5);
    EXPECT_EQ(witness.dispatcher_calls, 0);
    EXPECT_EQ(witness.allocations, 0);
  }
}

// On a card neighbours overlap where they may (cuda/launch.cuh): products beside each other, and
// their weights read ahead. Widths as models have them; what products take is written just before,
// by LibTorch's operators and by ours, into memory that was used before.
TEST_P(PoolTest, WhatOverlapsSeesWhatWasWrittenJustBefore) {
  constexpr int64_t kModel = 512;
  constexpr int64_t kTokens = 5;
  Tensors weights;
  for (uint64_t i = 0; i < 6; ++i) {
    weights.push_back(on_device(0.05 * random_tensor({kModel, kModel}, at::kBFloat16, i)));
  }
  const at::Tensor norm = on_device(random_tensor({kModel}, at::kBFloat16, 7));
  const auto product = [&](const at::Tensor& x, size_t i, int64_t slice) {
    return ops::linear(x, weights[i % weights.size()], slice, 0, at::kBFloat16);
  };
  const Program program = [&](const Tensors& in) {
    at::Tensor x = in[0];
    for (size_t i = 0; i < 24; ++i) {
      const at::Tensor chosen = i % 3 == 0 ? x.index_select(1, in[1]) : x;
      const at::Tensor a = product(chosen, i, 0);
      const at::Tensor b = product(chosen, i + 1, i % 2 == 0 ? 64 : 0);
      ops::mark(b, "b");  // launches nothing: `b` is no more settled than before
      const at::Tensor c = product(i % 4 == 0 ? b + a : b, i + 2, 0);
      x = ops::rms_norm(ops::residual_add(ops::residual_add(a, b), c), norm, 1e-6, false);
    }
    return Tensors{x};
  };
  const at::Tensor order = indices({4, 2, 0, 1, 3});
  const auto input = [&](uint64_t seed) {
    return on_device(random_tensor({1, kTokens, kModel}, at::kBFloat16, seed));
  };
  StaticGraph graph = graph_of(program, {input(1), order});
  const int runs = GetParam().device == at::kCUDA ? 200 : 2;
  for (int run = 0; run < runs; ++run) {
    const at::Tensor x = input(100 + static_cast<uint64_t>(run));
    ASSERT_TRUE(same_bits(replay_with(graph, {x, order}), program({x, order}))) << "run " << run;
  }
}

TEST_P(PoolTest, CaptureRunsNothing) {
  const at::Tensor cache = on_device(at::zeros({2, 4, 1, 8}));
  const Program program = [&](const Tensors& in) {
    ops::write_kv(cache, cache, in[0], in[0], in[1]);
    return Tensors{ops::residual_add(in[0], in[0])};
  };
  StaticGraph graph = graph_of(program, {on_device(at::ones({1, 1, 1, 8})), indices({0})});
  EXPECT_TRUE(same_bits(cache, at::zeros({2, 4, 1, 8})));
  replay_with(graph, {on_device(at::ones({1, 1, 1, 8})), indices({5})});
  EXPECT_TRUE(same_bits(cache.view({8, 8})[5], at::ones({8})));
}

TEST_P(PoolTest, AnOperatorThatCopiesItsArgument) {
  const Program program = [](const Tensors& in) {
    return Tensors{ops::linear(in[0], in[0].t(), 0, 0, at::kFloat)};
  };
  const at::Tensor x = on_device(random_tensor({2, 2}, at::kFloat, 3));
  StaticGraph graph = graph_of(program, {x});
  EXPECT_TRUE(same_bits(replay_with(graph, {x}), program({x})));
}

TEST_P(PoolTest, AnOutputWithoutElements) {
  const Program program = [](const Tensors& in) {
    return Tensors{ops::residual_add(in[0], in[0]), at::empty({0, 4}, in[0].options())};
  };
  StaticGraph graph = graph_of(program, {x_});
  EXPECT_TRUE(same_bits(replay_with(graph, {x_}), program({x_})));
}

TEST_P(PoolTest, AFailedCheckOfAKernelReachesTheCaller) {
  const at::Tensor table = on_device(random_tensor({4, 8}, at::kFloat, 1));
  const Program program = [&](const Tensors& in) {
    return Tensors{ops::rope(in[0], table, table, in[1], /*inverse=*/false)};
  };
  const at::Tensor x = on_device(at::ones({1, 1, 1, 16}));
  StaticGraph graph = graph_of(program, {x, indices({0}).view({1, 1})});
  EXPECT_EQ(replay_with(graph, {x, indices({3}).view({1, 1})}).size(), 1U);
  EXPECT_THAT(message_of([&] {
                replay_with(graph, {x, indices({4}).view({1, 1})});
              }),
              HasSubstr("token 0 has position 4"));
}

// ---- What capture refuses ----------------------------------------------------------------------

constexpr const char* kNotPermitted =
    "CUDA error: operation not permitted when stream is capturing";

TEST_P(PoolTest, ABranchOnAValueIsRefused) {
  EXPECT_THAT(refusal_of([](const Tensors& in) {
                return Tensors{in[0][0][0].item<float>() > 0 ? in[0] : in[0].view({4})};
              }),
              AllOf(HasSubstr(kNotPermitted), HasSubstr("aten::item")));
}

TEST_P(PoolTest, ASizeThatDependsOnValuesIsRefused) {
  EXPECT_THAT(refusal_of([](const Tensors& in) { return Tensors{at::nonzero(in[0])}; }),
              AllOf(HasSubstr(kNotPermitted), HasSubstr("aten::nonzero")));
}

// Streams, allocator and pool are as they were.
TEST_P(PoolTest, ARefusalLeavesEverythingUsable) {
  StaticGraph before = graph_of(add_weight(), {x_});
  for (int i = 0; i < 3; ++i) {
    EXPECT_NE(
        refusal_of([](const Tensors& in) { return Tensors{in[0] + in[0].sum().item<float>()}; }),
        "");
    EXPECT_NE(refusal_of([](const Tensors& in) { return Tensors{in[0].view({3})}; }), "");
  }
  EXPECT_TRUE(same_bits(x_ + weight_, x_.cpu() + weight_.cpu()));
  StaticGraph after = graph_of(add_weight(), {x_});
  EXPECT_TRUE(same_bits(replay_with(before, {x_})[0], x_ + weight_));
  EXPECT_TRUE(same_bits(replay_with(after, {x_})[0], x_ + weight_));
}

TEST_P(PoolTest, AnOutputFromOutsideThePoolIsRefused) {
  EXPECT_THAT(refusal_of([&](const Tensors&) { return Tensors{weight_}; }),
              HasSubstr("output 0 of g: expected a tensor in the graph's pool"));
}

TEST_P(PoolTest, AnInputFromOutsideThePoolIsRefused) {
  EXPECT_THAT(message_of([&] { pool_->capture("g", add_weight(), {x_}); }),
              HasSubstr("g: input 0 is not in the graph's pool"));
}

TEST_P(PoolTest, MemoryThatDoesNotOutliveCaptureIsRefused) {
  at::Tensor temporary = on_device(at::ones({2, 2}));
  EXPECT_THAT(refusal_of([&](const Tensors& in) {
                const Tensors sum{ops::residual_add(in[0], temporary)};
                temporary.reset();
                return sum;
              }),
              HasSubstr("does not outlive capture"));
}

// ---- What replay refuses -----------------------------------------------------------------------

TEST_P(PoolTest, AParameterUpdatedInPlaceIsFine) {
  StaticGraph graph = graph_of(add_weight(), {x_});
  weight_.copy_(random_tensor({4}, at::kFloat, 3));
  EXPECT_TRUE(same_bits(replay_with(graph, {x_})[0], x_ + weight_));
}

TEST_P(PoolTest, AParameterThatMoved) {
  StaticGraph graph = graph_of(add_weight(), {x_});
  const at::Tensor old = weight_.detach();  // keeps the memory itself alive
  weight_.set_(on_device(random_tensor({4}, at::kFloat, 3)));
  EXPECT_THAT(message_of([&] { replay_with(graph, {x_}); }),
              HasSubstr("the Float [4] that samebits::residual_add takes has moved"));
}

TEST_P(PoolTest, AParameterThatWasReplaced) {
  StaticGraph graph = graph_of(add_weight(), {x_});
  weight_ = on_device(random_tensor({4}, at::kFloat, 3));
  EXPECT_THAT(message_of([&] { replay_with(graph, {x_}); }), HasSubstr("was freed"));
}

// Piece A, an operator that returns a fresh tensor each step, piece B that holds its address.
TEST_P(PoolTest, AStaleInputPointer) {
  at::Tensor between = x_ * 2;
  const auto by_address = pool_->capture(
      "b", [&](const Tensors&) { return Tensors{ops::residual_add(between, between)}; }, {});
  by_address->replay();
  EXPECT_TRUE(same_bits(by_address->output(0), between + between));
  between = x_ * 3;
  EXPECT_THAT(message_of([&] { by_address->replay(); }), HasSubstr("was freed"));

  // The fix: a static input that every step is copied into.
  StaticGraph by_copy = graph_of(
      [](const Tensors& in) { return Tensors{ops::residual_add(in[0], in[0])}; }, {between});
  EXPECT_TRUE(same_bits(replay_with(by_copy, {between})[0], between + between));
}

TEST_P(PoolTest, ASkippedCopy) {
  StaticGraph graph = graph_of(add_weight(), {x_});
  replay_with(graph, {x_});
  EXPECT_EQ(message_of([&] { graph.replay(); }),
            "g: input 0 (static input 0 of g) was not written since the last replay");
  EXPECT_TRUE(same_bits(replay_with(graph, {x_})[0], x_ + weight_));
}

// ---- Outputs and the pool's memory -------------------------------------------------------------

TEST_P(PoolTest, AnOutputIsThereAfterTheFirstReplay) {
  StaticGraph graph = graph_of(add_weight(), {x_});
  EXPECT_EQ(message_of([&] { graph.graph().output(0); }), "g was never replayed");
}

TEST_P(PoolTest, AnOutputInAPoolOfItsOwnStays) {
  StaticGraph first = graph_of(add_weight(), {x_});
  StaticGraph second("second", new_pool(), add_weight(), {x_});
  first.copy_inputs({x_});
  first.replay();
  const at::Tensor output = first.graph().output(0);
  replay_with(second, {x_ + 1});
  EXPECT_TRUE(same_bits(output, x_ + weight_));
}

// What nobody holds serves the next capture; what is held stays.
TEST_P(PoolTest, OutputsOwnTheirMemoryOnlyWhileTheyAreHeld) {
  constexpr int64_t kElements = 1 << 23;  // more than a segment that is shared
  const StaticBuffer x = pool_->make_buffer("x", {kElements}, at::kFloat);
  Tensors held;
  bool holds = false;
  const Program program = [&](const Tensors& in) {
    Tensors out{ops::residual_add(in[0], in[0])};
    if (holds) held.push_back(out[0]);
    return out;
  };
  pool_->capture("first", program, {x.memory});
  const size_t used = pool_->bytes_used();
  pool_->capture("second", program, {x.memory});
  EXPECT_EQ(pool_->bytes_used(), used);
  holds = true;
  for (const char* name : {"third", "fourth"}) pool_->capture(name, program, {x.memory});
  EXPECT_GE(pool_->bytes_used(), used + kElements * sizeof(float));
  EXPECT_NE(held[0].const_data_ptr(), held[1].const_data_ptr());
}

// ---- Padding -----------------------------------------------------------------------------------

// Rows of padding do harm, and no row that counts depends on them; the twin does.
TEST_P(PoolTest, PaddingRowsDoNotLeak) {
  constexpr int64_t kWidth = 32;
  const at::Tensor weight = on_device(random_tensor({kWidth, kWidth}, at::kFloat, 2));
  const Program clean = [&](const Tensors& in) {
    return Tensors{ops::linear(in[0], weight, 0, 0, at::kFloat)};
  };
  const Program leaking = [&](const Tensors& in) {
    const at::Tensor y = ops::linear(in[0], weight, 0, 0, at::kFloat);
    return Tensors{y + y.index_select(0, in[1])};
  };
  const at::Tensor three = on_device(random_tensor({3, kWidth}, at::kFloat, 4));
  const at::Tensor last = on_device(at::full({8}, 7, at::kLong));
  for (const bool leaks : {false, true}) {
    StaticGraph graph = graph_of(leaks ? leaking : clean, {on_device(at::ones({8, kWidth})), last});
    const at::Tensor rows = replay_with(graph, {three, last})[0].narrow(0, 0, 3);
    EXPECT_EQ(rows.isnan().any().item<bool>(), leaks);
    if (!leaks) {
      EXPECT_TRUE(same_bits(rows, clean({three})[0]));
    }
  }
}

TEST_P(PoolTest, PaddingOfIndicesIsWhatTheCallerSays) {
  const Program program = [](const Tensors& in) { return Tensors{in[0].clone()}; };
  StaticGraph graph = graph_of(program, {on_device(at::zeros({3, 2}, at::kInt))});
  graph.copy_input(0, on_device(at::ones({2, 1}, at::kInt)), /*padding=*/-1);
  graph.replay();
  EXPECT_TRUE(same_bits(testing::outputs_of(graph.graph())[0],
                        at::tensor({1, -1, 1, -1, -1, -1}, at::kInt).view({3, 2})));
}

// On a card what comes from the CPU for neighbours goes there as one copy: of all buffers, of some,
// in any order, beside what is on the card already.
TEST_P(PoolTest, SeveralCopiesAtOnceAreThoseOneByOne) {
  const Program program = [](const Tensors& in) {
    Tensors copies;
    for (const at::Tensor& each : in) copies.push_back(each.clone());
    return copies;
  };
  std::vector<StaticBuffer> buffers;
  Tensors memory;
  for (const int64_t rows : {1, 40, 3, 7, 200}) {  // some with a gap behind them
    const at::ScalarType dtype = rows % 2 == 0 ? at::kLong : at::kInt;
    buffers.push_back(pool_->make_buffer(fmt::format("of {}", rows), {rows, 3}, dtype));
    memory.push_back(buffers.back().memory);
  }
  const auto graph = pool_->capture("g", program, memory);
  const auto values = [&](size_t i, int64_t run) {
    const int64_t rows = std::max<int64_t>(1, memory[i].size(0) - run);
    const at::Tensor numbers = at::arange(2 * rows, memory[i].scalar_type()).view({rows, 2});
    return numbers * (run + 1) + static_cast<int64_t>(1000 * i);
  };
  const auto replayed = [&] {
    graph->replay();
    Tensors outputs;
    for (size_t i = 0; i < graph->outputs(); ++i) outputs.push_back(graph->output(i).cpu());
    return outputs;
  };
  for (int64_t run = 0; run < 4; ++run) {
    std::vector<BufferCopy> copies;
    for (const size_t i : {3, 0, 4, 1, 2}) {
      const bool is_here = (i + run) % 3 != 0;
      copies.push_back({buffers[i], is_here ? values(i, run) : on_device(values(i, run)), -1});
    }
    pool_->copy({copies[0], copies[1], copies[2]});
    pool_->copy({copies[3], copies[4]});
    const Tensors at_once = replayed();
    for (size_t i = 0; i < buffers.size(); ++i) pool_->copy(buffers[i], values(i, run), -1);
    EXPECT_TRUE(same_bits(at_once, replayed())) << run;
    for (size_t i = 0; i < buffers.size(); ++i) {
      const at::Tensor value = values(i, run);
      at::Tensor expected = at::full_like(memory[i], -1, at::kCPU);
      expected.narrow(0, 0, value.size(0)).narrow(1, 0, 2).copy_(value);
      EXPECT_TRUE(same_bits(at_once[i], expected)) << i;
    }
  }
}

TEST_P(PoolTest, ValuesAreReadTogether) {
  const at::Tensor matrix = random_tensor({70, 90}, at::kFloat, 3);
  const Tensors values{at::arange(3),
                       matrix,
                       matrix.narrow(0, 1, 2),
                       matrix.t(),
                       matrix.narrow(1, 3, 5).to(at::kBFloat16),
                       at::ones({0, 4}),
                       at::full({1}, 7, at::kInt)};
  Tensors here;
  for (const at::Tensor& value : values) here.push_back(on_device(value));
  for (size_t count = 0; count <= here.size(); ++count) {
    const Tensors read = pool_->read({here.begin(), here.begin() + count});
    ASSERT_EQ(read.size(), count);
    for (size_t i = 0; i < count; ++i) {
      EXPECT_TRUE(read[i].is_cpu() && same_bits(read[i], values[i])) << i;
    }
  }
  const Tensors first = pool_->read({here[0]});
  here[0].add_(1);
  EXPECT_TRUE(same_bits(first[0], at::arange(3))) << "a copy";
}

TEST_P(PoolTest, FloatsArePaddedToo) {
  const StaticBuffer buffer = pool_->make_buffer("b", {4}, at::kFloat);
  pool_->copy(buffer, at::full({3}, 2.5f), /*padding=*/-1);
  EXPECT_TRUE(same_bits(pool_->read({buffer.memory})[0], at::tensor({2.5f, 2.5f, 2.5f, -1.0f})));
}

TEST_P(PoolTest, WhatDoesNotFitABufferIsRefused) {
  const StaticBuffer buffer = pool_->make_buffer("b", {3, 2}, at::kInt);
  const auto refusal = [&](const at::Tensor& value) {
    return message_of([&] { pool_->copy(buffer, on_device(value), {}); });
  };
  EXPECT_THAT(refusal(at::ones({4, 1}, at::kInt)), HasSubstr("b is Int [3, 2], found Int [4, 1]"));
  EXPECT_THAT(refusal(at::ones({3, 2})), HasSubstr("found Float [3, 2]"));
  const StaticBuffer numbers = pool_->make_buffer("n", {4}, at::kBFloat16);
  const at::Tensor halves = on_device(at::ones({2}, at::kBFloat16));
  EXPECT_THAT(message_of([&] { pool_->copy(numbers, halves, /*padding=*/0); }),
              HasSubstr("padding of n: found dtype BFloat16, expected int32, int64 or float32"));
  EXPECT_THAT(message_of([&] {
                pool_->make_buffer("empty", {0, 2}, at::kInt);
              }),
              HasSubstr("empty has no elements"));
}

SAMEBITS_FOR_ALL_POOLS(PoolTest);

// ---- From one graph to the next ----------------------------------------------------------------

// x -> first -> second, which takes what first leaves by address.
class ChainTest : public PoolTest {
 protected:
  void SetUp() override {
    PoolTest::SetUp();
    if (IsSkipped()) return;
    const Program keeping = [this](const Tensors& in) { return kept_ = add_weight()(in); };
    first_ = std::make_unique<StaticGraph>("first", pool_, keeping, Tensors{x_});
    second_ = pool_->capture("second", add_weight(), kept_);
  }

  void replay_first() {
    first_->copy_inputs({x_});
    first_->replay();
  }

  Tensors kept_;  // the first one's outputs, with their memory
  std::unique_ptr<StaticGraph> first_;
  std::unique_ptr<ReplayGraph> second_;
};

TEST_P(ChainTest, GivesTheBitsOfEager) {
  for (int run = 0; run < 2; ++run) {
    replay_first();
    second_->replay();
    EXPECT_TRUE(same_bits(second_->output(0), x_ + weight_ + weight_));
  }
}

TEST_P(ChainTest, AnInputThatNoGraphHasWritten) {
  EXPECT_EQ(message_of([&] { second_->replay(); }),
            "second: input 0 (first) was not written since the last replay");
  replay_first();
  second_->replay();
  EXPECT_THAT(message_of([&] { second_->replay(); }), HasSubstr("was not written since"));
}

TEST_P(ChainTest, AnInputThatAnotherGraphOverwrote) {
  kept_.clear();  // too early: the second one is still to come
  StaticGraph third("third", pool_, add_weight(), {x_});
  replay_first();
  third.copy_inputs({x_});
  third.replay();
  EXPECT_THAT(message_of([&] { second_->replay(); }),
              HasSubstr("second: input 0 (first) is gone: its memory was written since by "));
}

SAMEBITS_FOR_ALL_POOLS(ChainTest);

}  // namespace
}  // namespace samebits
