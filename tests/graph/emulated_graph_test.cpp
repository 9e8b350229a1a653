#include "harness/graph/emulated_graph.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "harness/core/error.h"
#include "harness/core/launch.h"
#include "harness/kernels/functional.h"
#include "tests/kernels/tensors.h"
#include "tests/support/emulated.h"

namespace samebits {
namespace {

using testing::Emulated;
using ::testing::HasSubstr;
using testing::random_tensor;
using testing::same_bits;

constexpr int64_t kWidth = 32;

std::shared_ptr<Arena> pool() { return std::make_shared<Arena>(size_t{1} << 24); }

template <typename F>
std::string message_of(F f) {
  try {
    f();
  } catch (const c10::Error& error) {
    return error.what_without_backtrace();
  } catch (const std::exception& error) {
    return error.what();
  }
  return "";
}

// A random chain of the contract's operators over x [1, T, kWidth].
struct RandomProgram {
  explicit RandomProgram(uint64_t seed, at::ScalarType dtype) : random(seed) {
    for (int i = 0; i < 8; ++i) {
      weights.push_back(random_tensor({kWidth, kWidth}, dtype, seed * 100 + i));
      norms.push_back(random_tensor({kWidth}, dtype, seed * 100 + 50 + i));
      choices.push_back(static_cast<int>(random() % 6));
    }
  }

  std::vector<at::Tensor> operator()(const std::vector<at::Tensor>& inputs) const {
    at::Tensor x = inputs[0];
    at::Tensor previous = x;
    for (size_t i = 0; i < choices.size(); ++i) {
      at::Tensor next;
      switch (choices[i]) {
        case 0:
          next = ops::rms_norm(x, norms[i], 1e-6, /*fused_rounding=*/false);
          break;
        case 1:
          next = ops::linear(x, weights[i], /*slice=*/8, /*dgrad_slice=*/0, x.scalar_type());
          break;
        case 2:
          next = ops::silu_mul(x, previous, /*fused_rounding=*/false);
          break;
        case 3:
          next = ops::residual_add(x, previous);
          break;
        case 4:  // of LibTorch: neighbours swapped, half by half
          next = at::cat({x.narrow(2, kWidth / 2, kWidth / 2), x.narrow(2, 0, kWidth / 2)}, 2);
          break;
        default:
          next = x.view({1, -1, 2, kWidth / 2}).transpose(2, 3).reshape({1, -1, kWidth}) + previous;
      }
      previous = x;
      x = next;
    }
    return {x, x.index_select(1, inputs[1])};
  }

  std::mt19937_64 random;
  std::vector<at::Tensor> weights, norms;
  std::vector<int> choices;
};

TEST(EmulatedGraphTest, ReplayGivesTheBitsOfEager) {
  const auto shared = pool();
  for (uint64_t seed = 0; seed < 40; ++seed) {
    const at::ScalarType dtype = seed % 2 == 0 ? at::kFloat : at::kBFloat16;
    const RandomProgram program(seed, dtype);
    const int64_t tokens = 1 + static_cast<int64_t>(seed % 7);
    const at::Tensor index = at::tensor({tokens - 1, int64_t{0}});
    Emulated graph("g", shared, program, {random_tensor({1, tokens, kWidth}, dtype, 1), index});
    for (uint64_t run = 0; run < 3; ++run) {
      const at::Tensor x = random_tensor({1, tokens, kWidth}, dtype, 1000 * seed + run);
      const auto replayed = graph.replay_with({x, index});
      EXPECT_TRUE(same_bits(replayed, program({x, index}))) << "seed " << seed;
      const at::Tensor other = x + 1;
      EXPECT_FALSE(same_bits(replayed, program({other, index}))) << "seed " << seed;
    }
    EXPECT_EQ(graph.witness().replays, 3);
    EXPECT_EQ(graph.witness().launches, 3 * static_cast<int64_t>(graph.graph().launches()));
    EXPECT_GE(graph.graph().launches(), 8U);
    EXPECT_EQ(graph.witness().dispatcher_calls, 0);
    EXPECT_EQ(graph.witness().allocations, 0);
  }
}

TEST(EmulatedGraphTest, CaptureRunsNothing) {
  const at::Tensor cache = at::zeros({2, 4, 1, 8});
  const Program program = [&](const std::vector<at::Tensor>& in) -> std::vector<at::Tensor> {
    ops::write_kv(cache, cache, in[0], in[0], in[1]);
    return {ops::residual_add(in[0], in[0])};
  };
  Emulated graph("g", pool(), program, {at::ones({1, 1, 1, 8}), at::zeros({1}, at::kLong)});
  EXPECT_TRUE(same_bits(cache, at::zeros({2, 4, 1, 8})));
  graph.replay_with({at::ones({1, 1, 1, 8}), at::full({1}, 5, at::kLong)});
  EXPECT_TRUE(same_bits(cache.view({8, 8})[5], at::ones({8})));
}

TEST(EmulatedGraphTest, AFailedCheckInALaunchReachesTheCaller) {
  const at::Tensor table = random_tensor({4, 8}, at::kFloat, 1);
  const Program program = [&](const std::vector<at::Tensor>& in) -> std::vector<at::Tensor> {
    return {ops::rope(in[0], table, table, in[1], /*inverse=*/false)};
  };
  Emulated graph("g", pool(), program, {at::ones({1, 1, 1, 16}), at::zeros({1, 1}, at::kLong)});
  EXPECT_EQ(graph.replay_with({at::ones({1, 1, 1, 16}), at::full({1, 1}, 3, at::kLong)}).size(),
            1U);
  const std::string message = message_of([&] {
    graph.replay_with({at::ones({1, 1, 1, 16}), at::full({1, 1}, 4, at::kLong)});
  });
  EXPECT_THAT(message, HasSubstr("token 0 has position 4"));
  EXPECT_THAT(message, HasSubstr("g, launch of rope"));
}

// ---- What capture refuses ----------------------------------------------------------------------

std::string refusal_of(const Program& program) {
  return message_of([&] { Emulated("g", pool(), program, {at::ones({2, 2})}); });
}

constexpr const char* kNotPermitted =
    "CUDA error: operation not permitted when stream is capturing";

TEST(EmulatedGraphRefusalTest, AHostReadInCudasWords) {
  const std::string refusal = refusal_of([](const std::vector<at::Tensor>& in) {
    return std::vector<at::Tensor>{in[0][0][0].item<float>() > 0 ? in[0] : in[0].view({4})};
  });
  EXPECT_THAT(refusal, HasSubstr(kNotPermitted));
  EXPECT_THAT(refusal, HasSubstr("aten::item"));
}

TEST(EmulatedGraphRefusalTest, AnOperatorThatComputesOutsideALaunch) {
  EXPECT_THAT(refusal_of([](const std::vector<at::Tensor>& in) {
                return std::vector<at::Tensor>{at::softmax(in[0], 0)};
              }),
              HasSubstr(std::string(kNotPermitted) + ": aten::softmax"));
  // The same one that is known, on a dtype that is not.
  EXPECT_THAT(refusal_of([](const std::vector<at::Tensor>& in) {
                return std::vector<at::Tensor>{in[0].to(at::kDouble)};
              }),
              HasSubstr("aten::_to_copy"));
}

TEST(EmulatedGraphRefusalTest, AnOperatorInsideAnotherThatIsPermitted) {
  // linear copies a weight that is not contiguous: a launch too.
  const Program clean = [](const std::vector<at::Tensor>& in) -> std::vector<at::Tensor> {
    return {ops::linear(in[0], in[0].t(), 0, 0, at::kFloat)};
  };
  Emulated graph("g", pool(), clean, {at::ones({2, 2})});
  const at::Tensor x = random_tensor({2, 2}, at::kFloat, 3);
  EXPECT_TRUE(same_bits(graph.replay_with({x}), clean({x})));
  EXPECT_THAT(
      refusal_of([](const std::vector<at::Tensor>& in) {
        return std::vector<at::Tensor>{at::zeros_like(in[0]).fill_(1).view({4}).contiguous()};
      }),
      HasSubstr("aten::fill_"));
}

TEST(EmulatedGraphRefusalTest, HostCodeThatWritesThroughAPointer) {
  const Program program = [](const std::vector<at::Tensor>& in) -> std::vector<at::Tensor> {
    at::Tensor y = at::empty({4}, at::kFloat);
    y.mutable_data_ptr<float>()[3] = 1.0f;
    return {ops::residual_add(in[0].view({4}), y)};
  };
  EXPECT_THAT(refusal_of(program), HasSubstr(kNotPermitted));
  EXPECT_THAT(refusal_of(program), HasSubstr("aten::empty"));
}

TEST(EmulatedGraphRefusalTest, AnOutputThatIsNotInThePool) {
  const at::Tensor outside = at::ones({2});
  EXPECT_THAT(
      refusal_of([&](const std::vector<at::Tensor>&) { return std::vector<at::Tensor>{outside}; }),
      HasSubstr("output 0 of g: expected a tensor in the graph's pool"));
}

TEST(EmulatedGraphRefusalTest, MemoryThatDoesNotOutliveCapture) {
  EXPECT_THAT(refusal_of([](const std::vector<at::Tensor>& in) {
                std::vector<float> own(4, 1.0f);
                const at::Tensor temporary = at::from_blob(own.data(), {2, 2}, at::kFloat);
                return std::vector<at::Tensor>{ops::residual_add(in[0], temporary)};
              }),
              HasSubstr("does not outlive capture"));
}

// ---- Detectors ---------------------------------------------------------------------------------

class DetectorTest : public ::testing::Test {
 protected:
  // x + weight; the weight is held by address.
  Program add_weight() {
    return [this](const std::vector<at::Tensor>& in) -> std::vector<at::Tensor> {
      return {ops::residual_add(in[0], weight_)};
    };
  }

  at::Tensor x_ = random_tensor({4}, at::kFloat, 1);
  at::Tensor weight_ = random_tensor({4}, at::kFloat, 2);
  std::shared_ptr<Arena> pool_ = pool();
};

TEST_F(DetectorTest, AParameterUpdatedInPlaceIsFine) {
  Emulated graph("g", pool_, add_weight(), {x_});
  weight_.copy_(random_tensor({4}, at::kFloat, 3));
  EXPECT_TRUE(same_bits(graph.replay_with({x_})[0], x_ + weight_));
}

TEST_F(DetectorTest, AParameterThatMoved) {
  Emulated graph("g", pool_, add_weight(), {x_});
  const at::Tensor old = weight_.detach();  // keeps the memory itself alive
  weight_.set_(random_tensor({4}, at::kFloat, 3));
  EXPECT_THAT(message_of([&] { graph.replay_with({x_}); }),
              HasSubstr("the Float [4] that samebits::residual_add takes has moved"));
}

TEST_F(DetectorTest, AParameterThatWasReplaced) {
  Emulated graph("g", pool_, add_weight(), {x_});
  weight_ = random_tensor({4}, at::kFloat, 3);
  EXPECT_THAT(message_of([&] { graph.replay_with({x_}); }), HasSubstr("was freed"));
}

// Piece A, an operator that returns a fresh tensor each step, piece B that holds its address.
TEST_F(DetectorTest, AStaleInputPointer) {
  at::Tensor between = x_ * 2;
  const Program piece = [&](const std::vector<at::Tensor>&) -> std::vector<at::Tensor> {
    return {ops::residual_add(between, between)};
  };
  Emulated by_address("b", pool_, piece, {});
  by_address.replay();
  EXPECT_TRUE(same_bits(by_address.output(0).read(), between + between));
  between = x_ * 3;
  EXPECT_THAT(message_of([&] { by_address.replay(); }), HasSubstr("was freed"));

  // The fix: a static input that every step is copied into.
  const Program fixed = [](const std::vector<at::Tensor>& in) -> std::vector<at::Tensor> {
    return {ops::residual_add(in[0], in[0])};
  };
  Emulated by_copy("b", pool_, fixed, {between});
  EXPECT_TRUE(same_bits(by_copy.replay_with({between})[0], between + between));
}

TEST_F(DetectorTest, ASkippedCopy) {
  Emulated graph("g", pool_, add_weight(), {x_});
  graph.replay_with({x_});
  EXPECT_EQ(message_of([&] { graph.replay(); }),
            "g: input 0 (static input 0 of g) was not written since the last replay");
  EXPECT_TRUE(same_bits(graph.replay_with({x_})[0], x_ + weight_));
}

TEST_F(DetectorTest, AnOutputThatAnotherGraphOfThePoolOverwrote) {
  Emulated first("first", pool_, add_weight(), {x_});
  Emulated second("second", pool_, add_weight(), {x_});  // takes the block that first let go
  first.copy_inputs({x_});
  first.replay();
  const GraphOutput output = first.output(0);
  EXPECT_TRUE(same_bits(output.read(), x_ + weight_));
  second.copy_inputs({x_ + 1});
  second.replay();
  EXPECT_EQ(message_of([&] { output.read(); }),
            "output 0 of first is gone: its memory was written since by static input 0 of second");
  EXPECT_TRUE(same_bits(second.output(0).read(), x_ + 1 + weight_));
}

TEST_F(DetectorTest, AnOutputInAPoolOfItsOwnStays) {
  Emulated first("first", pool_, add_weight(), {x_});
  Emulated second("second", pool(), add_weight(), {x_});
  first.copy_inputs({x_});
  first.replay();
  const GraphOutput output = first.output(0);
  second.replay_with({x_ + 1});
  EXPECT_TRUE(same_bits(output.read(), x_ + weight_));
}

TEST_F(DetectorTest, AnOutputIsGoneAfterTheNextReplayAndAfterALaterCapture) {
  Emulated graph("g", pool_, add_weight(), {x_});
  EXPECT_EQ(message_of([&] { graph.output(0); }), "g was never replayed");
  graph.copy_inputs({x_});
  graph.replay();
  const GraphOutput output = graph.output(0);
  output.read();
  graph.copy_inputs({x_});
  graph.replay();
  EXPECT_THAT(message_of([&] { output.read(); }), HasSubstr("written since by g"));
  const GraphOutput newer = graph.output(0);
  Emulated later("later", pool_, add_weight(), {x_});
  EXPECT_THAT(message_of([&] { newer.read(); }),
              HasSubstr("written since by static input 0 of later"));
}

TEST_F(DetectorTest, ALaunchThatWritesPastItsBlock) {
  for (const int64_t past : {0, 1}) {
    const Program program = [past](const std::vector<at::Tensor>& in) -> std::vector<at::Tensor> {
      at::Tensor y = at::empty_like(in[0]);
      launch("fill", [to = y.mutable_data_ptr<float>(), count = y.numel() + past] {
        for (int64_t i = 0; i < count; ++i) to[i] = 1.0f;
      });
      return {y};
    };
    Emulated graph("g", pool_, program, {x_});
    const std::string found = message_of([&] { graph.replay_with({x_}); });
    if (past == 0) {
      EXPECT_EQ(found, "");
    } else {
      EXPECT_EQ(found,
                "g: the redzone after the 16 bytes that aten::empty_like allocated was "
                "overwritten");
    }
  }
}

TEST_F(DetectorTest, AnOutputThatNoLaunchWrites) {
  const Program program = [](const std::vector<at::Tensor>& in) -> std::vector<at::Tensor> {
    return {at::empty_like(in[0])};
  };
  Emulated graph("g", pool_, program, {x_});
  EXPECT_EQ(message_of([&] { graph.replay_with({x_}); }),
            "output 0 of g was never written by a launch");
}

// A value of the step before cannot leak into this one: whoever reads before it is written sees
// poison.
TEST_F(DetectorTest, MemoryIsPoisonedBeforeEachReplay) {
  const Program program = [](const std::vector<at::Tensor>& in) -> std::vector<at::Tensor> {
    const at::Tensor y = at::empty_like(in[0]);
    const at::Tensor early = ops::residual_add(y, in[0]);  // reads y
    launch("fill", [to = static_cast<float*>(y.mutable_data_ptr())] { to[0] = 1.0f; });
    return {early, y};
  };
  Emulated graph("g", pool_, program, {x_});
  for (int run = 0; run < 2; ++run) {
    EXPECT_TRUE(graph.replay_with({x_})[0].isnan().all().item<bool>());
  }
}

// Rows of padding are poison, and no row that counts depends on them; the twin does.
TEST_F(DetectorTest, PoisonInPaddingRowsDoesNotLeak) {
  const at::Tensor weight = random_tensor({kWidth, kWidth}, at::kFloat, 2);
  const Program clean = [&](const std::vector<at::Tensor>& in) -> std::vector<at::Tensor> {
    return {ops::linear(in[0], weight, 0, 0, at::kFloat)};
  };
  const Program leaking = [&](const std::vector<at::Tensor>& in) -> std::vector<at::Tensor> {
    const at::Tensor y = ops::linear(in[0], weight, 0, 0, at::kFloat);
    return {y + y.index_select(0, in[1])};
  };
  const at::Tensor three = random_tensor({3, kWidth}, at::kFloat, 4);
  const at::Tensor last = at::full({8}, 7, at::kLong);
  for (const bool leaks : {false, true}) {
    Emulated graph("g", pool_, leaks ? leaking : clean, {at::ones({8, kWidth}), last});
    const at::Tensor rows = graph.replay_with({three, last})[0].narrow(0, 0, 3);
    EXPECT_EQ(rows.isnan().any().item<bool>(), leaks);
    if (!leaks) {
      EXPECT_TRUE(same_bits(rows, clean({three})[0]));
    }
  }
}

TEST_F(DetectorTest, PaddingOfIndicesIsWhatTheCallerSays) {
  const Program program = [](const std::vector<at::Tensor>& in) -> std::vector<at::Tensor> {
    return {in[0].clone()};
  };
  Emulated graph("g", pool_, program, {at::zeros({3, 2}, at::kInt)});
  graph.copy_input(0, at::ones({2, 1}, at::kInt), /*padding=*/-1);
  graph.replay();
  EXPECT_TRUE(
      same_bits(graph.output(0).read(), at::tensor({1, -1, 1, -1, -1, -1}, at::kInt).view({3, 2})));
  EXPECT_THAT(message_of([&] {
                graph.copy_input(0, at::ones({4, 1}, at::kInt));
              }),
              HasSubstr("static input 0 of g is Int [3, 2], found Int [4, 1]"));
}

// ---- From one graph to the next ----------------------------------------------------------------

// x -> first -> second, which takes what first leaves by address.
class ChainTest : public DetectorTest {
 protected:
  void SetUp() override {
    first_ = std::make_unique<Emulated>("first", pool_, keeping(add_weight()), Tensors{x_});
    second_ = capture("second");
  }

  using Tensors = std::vector<at::Tensor>;
  Program keeping(const Program& program) {
    return [this, program](const Tensors& in) { return kept_ = program(in); };
  }
  std::unique_ptr<EmulatedGraph> capture(const std::string& name) {
    return std::make_unique<EmulatedGraph>(name, pool_, add_weight(), kept_);
  }
  void replay_first() {
    first_->copy_inputs({x_});
    first_->replay();
  }

  Tensors kept_;  // the first one's outputs, with their memory
  std::unique_ptr<Emulated> first_;
  std::unique_ptr<EmulatedGraph> second_;
};

TEST_F(ChainTest, GivesTheBitsOfEager) {
  for (int run = 0; run < 2; ++run) {
    replay_first();
    second_->replay();
    EXPECT_TRUE(same_bits(second_->output(0), x_ + weight_ + weight_));
  }
}

TEST_F(ChainTest, AnInputThatNoGraphHasWritten) {
  EXPECT_EQ(message_of([&] { second_->replay(); }),
            "second: input 0 (first) was not written since the last replay");
  replay_first();
  second_->replay();
  EXPECT_THAT(message_of([&] { second_->replay(); }), HasSubstr("was not written since"));
}

TEST_F(ChainTest, AnInputThatAnotherGraphOverwrote) {
  kept_.clear();  // too early: the second one is still to come
  Emulated third("third", pool_, add_weight(), {x_});
  replay_first();
  third.copy_inputs({x_});
  third.replay();
  EXPECT_EQ(message_of([&] { second_->replay(); }),
            "second: input 0 (first) is gone: its memory was written since by static input 0 of "
            "third");
}

TEST_F(ChainTest, AnInputThatIsInNoPool) {
  kept_ = {x_};
  EXPECT_THAT(message_of([&] { capture("g"); }),
              HasSubstr("g: input 0 is not in the graph's pool"));
}

}  // namespace
}  // namespace samebits
