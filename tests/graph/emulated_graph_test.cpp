#include "harness/graph/emulated_graph.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "harness/base/error.h"
#include "harness/dispatch/launch.h"
#include "harness/kernels/functional.h"
#include "tests/graph/random_program.h"
#include "tests/kernels/tensors.h"
#include "tests/support/emulated.h"
#include "tests/support/replay_pools.h"

namespace samebits {
namespace {

using testing::Emulated;
using ::testing::HasSubstr;
using testing::message_of;
using testing::random_tensor;
using testing::same_bits;

std::shared_ptr<Arena> pool() { return std::make_shared<Arena>(size_t{1} << 24); }

TEST(EmulatedGraphTest, EveryLaunchIsCounted) {
  const testing::RandomProgram program(1, at::kFloat, at::kCPU);
  const at::Tensor index = at::tensor({int64_t{0}});
  const at::Tensor x = random_tensor({1, 3, program.kWidth}, at::kFloat, 1);
  Emulated graph("g", pool(), program, {x, index});
  for (int run = 0; run < 3; ++run) graph.replay_with({x, index});
  EXPECT_GE(graph.graph().launches(), 8U);
  EXPECT_EQ(graph.witness().launches, 3 * static_cast<int64_t>(graph.graph().launches()));
}

TEST(EmulatedGraphTest, AFailedCheckNamesItsLaunch) {
  const at::Tensor table = random_tensor({4, 8}, at::kFloat, 1);
  const Program program = [&](const std::vector<at::Tensor>& in) -> std::vector<at::Tensor> {
    return {ops::rope(in[0], table, table, in[1], /*inverse=*/false)};
  };
  Emulated graph("g", pool(), program, {at::ones({1, 1, 1, 16}), at::zeros({1, 1}, at::kLong)});
  EXPECT_THAT(message_of([&] {
                graph.replay_with({at::ones({1, 1, 1, 16}), at::full({1, 1}, 4, at::kLong)});
              }),
              HasSubstr("g, launch of rope"));
}

// ---- What capture refuses ----------------------------------------------------------------------

std::string refusal_of(const Program& program) {
  return message_of([&] { Emulated("g", pool(), program, {at::ones({2, 2})}); });
}

constexpr const char* kNotPermitted =
    "CUDA error: operation not permitted when stream is capturing";

// A GPU would launch them: a refusal of the emulation alone.
TEST(EmulatedGraphRefusalTest, AnOperatorThatComputesOutsideALaunch) {
  EXPECT_EQ(refusal_of([](const std::vector<at::Tensor>& in) {
              return std::vector<at::Tensor>{at::softmax(in[0], 0)};
            }),
            "aten::softmax: computes outside a launch, which a CPU cannot record");
  // The same one that is known, on a dtype that is not.
  EXPECT_THAT(refusal_of([](const std::vector<at::Tensor>& in) {
                return std::vector<at::Tensor>{in[0].to(at::kDouble)};
              }),
              HasSubstr("aten::_to_copy"));
}

TEST(EmulatedGraphRefusalTest, AnOperatorInsideAnotherThatIsPermitted) {
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

TEST(EmulatedGraphRefusalTest, HostMemoryThatDoesNotOutliveCapture) {
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

}  // namespace
}  // namespace samebits
