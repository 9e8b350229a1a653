#include "harness/dispatch/dispatch_mode.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <vector>

namespace samebits {
namespace {

// Writes down what it sees under its name, and passes it on.
struct Recorder final : DispatchMode {
  Recorder(std::string name, std::vector<std::string>& log) : name(std::move(name)), log(log) {}

  void call(const c10::OperatorHandle& op, torch::jit::Stack* stack) override {
    log.push_back(name + " " + op.operator_name().name);
    op.callBoxed(stack);
  }

  std::string name;
  std::vector<std::string>& log;
};

struct Thrower final : DispatchMode {
  void call(const c10::OperatorHandle&, torch::jit::Stack*) override {
    throw std::runtime_error("refused");
  }
};

TEST(DispatchMode, SeesWholeOperatorsAboveAutograd) {
  std::vector<std::string> log;
  Recorder recorder("a", log);
  const at::Tensor x = at::ones({2, 3});
  const at::Tensor w = at::ones({4, 3}).requires_grad_();
  at::Tensor y;
  {
    const DispatchModeGuard on(recorder);
    y = at::linear(x, w);
  }
  EXPECT_EQ(log, std::vector<std::string>{"a aten::linear"});
  EXPECT_TRUE(y.requires_grad());
  EXPECT_TRUE(at::equal(y, at::full({2, 4}, 3.0f)));
}

TEST(DispatchMode, NestsInnermostFirstAndEndsWithItsGuard) {
  std::vector<std::string> log;
  Recorder outer("outer", log);
  Recorder inner("inner", log);
  const at::Tensor x = at::ones({2});
  {
    const DispatchModeGuard on_outer(outer);
    {
      const DispatchModeGuard on_inner(inner);
      at::neg(x);
    }
    at::abs(x);
  }
  at::exp(x);
  EXPECT_EQ(log,
            (std::vector<std::string>{"inner aten::neg", "outer aten::neg", "outer aten::abs"}));
}

TEST(DispatchMode, StaysOnAfterItThrows) {
  Thrower thrower;
  const at::Tensor x = at::ones({2});
  {
    const DispatchModeGuard on(thrower);
    EXPECT_THROW(at::neg(x), std::runtime_error);
    EXPECT_THROW(at::neg(x), std::runtime_error);
  }
  EXPECT_NO_THROW(at::neg(x));
}

}  // namespace
}  // namespace samebits
