#include "harness/workload/optimizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <map>

#include "harness/capture/print.h"
#include "harness/dtensor/dtensor.h"
#include "harness/kernels/functional.h"
#include "tests/mesh/processes.h"
#include "tests/support/random_model.h"

namespace samebits {
namespace {

using ::testing::HasSubstr;
using testing::random_model;
using testing::same_bits;
using testing::small_config;

using Tensors = std::vector<at::Tensor>;

// Above 1 for most steps, so that the scale differs from step to step.
Tensors random_gradients(const Decoder& model, uint64_t seed) {
  at::Generator generator = at::detail::createCPUGenerator(seed);
  Tensors gradients;
  for (const Parameter& parameter : model.parameters()) {
    const at::Tensor whole =
        (at::randn(parameter.tensor.sizes(), generator) * 0.1).to(model.numerics().dtype);
    gradients.push_back(parameter.shard_dim
                            ? model.parallel().distribute_shard(whole, *parameter.shard_dim)
                            : model.parallel().distribute_replicate(whole));
  }
  return gradients;
}

Tensors plain(const Decoder& model, const Tensors& tensors) {
  const at::NoGradGuard no_grad;
  Tensors all;
  for (const at::Tensor& tensor : tensors) {
    all.push_back(model.parallel().to_plain(tensor.detach()).clone());
  }
  return all;
}

Tensors weights_of(const Decoder& model) {
  Tensors weights;
  for (const Parameter& parameter : model.parameters()) weights.push_back(parameter.tensor);
  return plain(model, weights);
}

struct Steps {
  Tensors values;  // of each step, in order: the norm, then every weight
  Witness witness;
  std::vector<std::string> graphs;
};

OptimizerSettings settings_of(bool master) {
  OptimizerSettings settings;
  settings.master = master;
  settings.lr = 1e-2;
  return settings;
}

// Four steps over two sequences each. `poison`: put into a gradient of the second step.
// `sharded_over`: replicas that all get the same gradients.
Steps run_steps(int64_t tp, bool master, Execution execution, float poison = 0.0f,
                const Replicas& sharded_over = kOneReplica) {
  const auto model = random_model(small_config(), Numerics(), tp, 11);
  Optimizer optimizer(*model, settings_of(master), {execution}, kGradientGroups, sharded_over);
  Steps steps;
  for (uint64_t step = 0; step < 4; ++step) {
    for (uint64_t sequence = 0; sequence < 2; ++sequence) {
      const Tensors gradients = random_gradients(*model, 10 * step + sequence);
      if (step == 1 && poison != 0.0f) {
        // The last parameter is the final norm's, which every rank has.
        const at::Tensor& last = gradients.back();
        for (const at::Tensor& local : tp > 1 ? locals_of(last) : Tensors{last}) {
          local[3].fill_(poison);
        }
      }
      optimizer.gradient().add(gradients);
    }
    steps.values.push_back(optimizer.step());
    for (at::Tensor& weight : weights_of(*model)) steps.values.push_back(std::move(weight));
    for (const at::Tensor& sum : plain(*model, optimizer.gradient().whole())) {
      EXPECT_TRUE(same_bits(sum, at::zeros_like(sum))) << "sums of step " << step;
    }
  }
  steps.witness = optimizer.program().witness();
  for (const auto& graph : optimizer.program().graphs()) steps.graphs.push_back(to_string(*graph));
  return steps;
}

bool same(const Tensors& a, const Tensors& b) {
  bool equal = a.size() == b.size();
  for (size_t i = 0; equal && i < a.size(); ++i) equal = same_bits(a[i], b[i]);
  return equal;
}

TEST(OptimizerTest, ACapturedStepHasTheBitsOfAnEagerOne) {
  for (const bool master : {true, false}) {
    const Steps expected = run_steps(1, master, Execution::kEager);
    EXPECT_GT(expected.values[0].item<float>(), 1.0f) << "nothing is clipped";
    for (const int64_t tp : {1, 2}) {
      EXPECT_TRUE(same(run_steps(tp, master, Execution::kEager).values, expected.values)) << tp;
      EXPECT_TRUE(same(run_steps(tp, master, Execution::kCaptured).values, expected.values)) << tp;
    }
  }
}

TEST(OptimizerTest, NormsThatAreNoNumbersTooAndTheyAreSeen) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (const float poison : {kInfinity, std::nanf("")}) {
    const Steps expected = run_steps(1, /*master=*/true, Execution::kEager, poison);
    const size_t stride = expected.values.size() / 4;
    EXPECT_TRUE(std::isfinite(expected.values[0].item<float>()));
    EXPECT_FALSE(std::isfinite(expected.values[stride].item<float>()));
    for (const int64_t tp : {1, 2}) {
      EXPECT_TRUE(same(run_steps(tp, true, Execution::kCaptured, poison).values, expected.values))
          << tp;
    }
  }
}

TEST(OptimizerTest, ItsWitnessSaysWhichOfThemRan) {
  const Steps eager = run_steps(2, /*master=*/true, Execution::kEager);
  EXPECT_EQ(eager.witness.eager_calls, 4);
  EXPECT_EQ(eager.witness.nodes, 0);
  EXPECT_TRUE(eager.graphs.empty());
  Steps captured = run_steps(2, /*master=*/true, Execution::kCaptured);
  EXPECT_EQ(captured.witness.eager_calls, 0);
  EXPECT_EQ(captured.witness.traces, 1);
  EXPECT_EQ(captured.witness.runs, 4);
  EXPECT_GT(captured.witness.nodes, 0);
  ASSERT_EQ(captured.graphs.size(), 1u);
  // One input, the step; the clipping between the sums of squares and the updates.
  EXPECT_THAT(captured.graphs[0], HasSubstr("%in0: i64[]"));
  EXPECT_THAT(captured.graphs[0], HasSubstr("samebits::clip_scale"));
  EXPECT_THAT(captured.graphs[0], HasSubstr("samebits::adamw_"));
  EXPECT_THAT(captured.graphs[0], HasSubstr("aten::zero_"));
}

// What each of `dp` replicas that share the state makes of `of_replica`.
template <typename Made>
std::vector<Made> made_by_replicas(int64_t dp,
                                   const std::function<Made(const Replicas&)>& of_replica) {
  std::vector<Made> made(static_cast<size_t>(dp));
  testing::run_ranks(dp, [&](std::unique_ptr<Transport> transport) {
    const Replicas replicas(std::move(transport));
    made[replicas.index()] = of_replica(replicas);
  });
  return made;
}

TEST(OptimizerTest, StateThatReplicasShareGivesTheSameBits) {
  for (const bool master : {true, false}) {
    const Steps expected = run_steps(1, master, Execution::kEager);
    for (const Execution execution : {Execution::kEager, Execution::kCaptured}) {
      for (const int64_t tp : {1, 2}) {
        for (const int64_t dp : {2, 8}) {
          const auto made = made_by_replicas<Steps>(dp, [&](const Replicas& replicas) {
            return run_steps(tp, master, execution, /*poison=*/0, replicas);
          });
          for (const Steps& each : made) {
            EXPECT_TRUE(same(each.values, expected.values)) << "tp " << tp << ", dp " << dp;
          }
        }
      }
    }
  }
}

TEST(OptimizerTest, AShareThatAnotherReplicaUpdatedOtherwiseIsSeen) {
  const Steps expected = run_steps(1, /*master=*/true, Execution::kEager);
  const auto made = made_by_replicas<Steps>(2, [&](const Replicas& replicas) {
    const float poison = replicas.index() == 1 ? 0.125F : 0.0F;
    return run_steps(1, true, Execution::kEager, poison, replicas);
  });
  for (const Steps& each : made) EXPECT_FALSE(same(each.values, expected.values));
}

// Two steps, a checkpoint, two more: whole or shared by replicas on either side of it.
TEST(OptimizerTest, StateGoesFromWholeToSharedAndBack) {
  const auto steps = [](Optimizer& optimizer, const Decoder& model, uint64_t first) {
    for (uint64_t step = first; step < first + 2; ++step) {
      optimizer.gradient().add(random_gradients(model, step));
      optimizer.step();
    }
  };
  const auto first_half = [&](const Replicas& replicas) {
    const auto model = random_model(small_config(), Numerics(), 2, 11);
    Optimizer optimizer(*model, settings_of(true), {}, kGradientGroups, replicas);
    steps(optimizer, *model, 0);
    State state;
    optimizer.add_state(state);
    add_parameters(state, "model", *model);
    return state;
  };
  const auto second_half = [&](const Replicas& replicas, const State& state) {
    const auto model = random_model(small_config(), Numerics(), 2, 11);
    Optimizer optimizer(*model, settings_of(true), {}, kGradientGroups, replicas);
    load_parameters(state, "model", *model);
    optimizer.load(state);
    steps(optimizer, *model, 2);
    return weights_of(*model);
  };
  const State whole = first_half(kOneReplica);
  const Tensors expected = second_half(kOneReplica, whole);
  for (const State& shared : made_by_replicas<State>(4, first_half)) {
    ASSERT_EQ(shared.size(), whole.size());
    for (const auto& [name, tensor] : whole)
      EXPECT_TRUE(same_bits(shared.at(name), tensor)) << name;
  }
  const auto gone_on_from = [&](const State& state) {
    return made_by_replicas<Tensors>(
        4, [&](const Replicas& replicas) { return second_half(replicas, state); });
  };
  for (const Tensors& weights : gone_on_from(whole)) EXPECT_TRUE(same(weights, expected));
  State other = whole;
  at::Tensor& moment = other.at("optimizer." + std::string("model.norm.weight") + ".v");
  moment = moment * 4;
  for (const Tensors& weights : gone_on_from(other)) EXPECT_FALSE(same(weights, expected));
}

// The negative control: a step or scale that the host chose at capture is a constant of the graph.
TEST(OptimizerTest, AFrozenStepOrScaleWouldBeSeen) {
  const auto model = random_model(small_config(), Numerics(), 1, 11);  // has no part in it
  const at::Tensor gradient = at::linspace(-1, 1, 64, at::kFloat);
  // Three steps; which of {scale, step} the program takes from the host instead of its inputs.
  const auto run = [&](bool captured, bool host_scale, bool host_step) {
    const at::Tensor weight = at::ones({64});
    const at::Tensor m = at::zeros({64});
    const at::Tensor v = at::zeros({64});
    at::Tensor scale;
    at::Tensor step;
    const Program program = [&](const Tensors& in) {
      ops::adamw_(weight, std::nullopt, m, v, gradient, host_scale ? scale : in[0],
                  host_step ? step : in[1], 1e-2, 0.9, 0.999, 1e-8, 0.01);
      return Tensors{weight};
    };
    const auto executed = make_executed({captured ? Execution::kCaptured : Execution::kEager},
                                        {"test", *model, program, /*dynamic_dims=*/{}});
    for (int64_t k = 1; k <= 3; ++k) {
      scale = at::scalar_tensor(1.0 / static_cast<double>(k));
      step = at::scalar_tensor(k, at::kLong);
      executed->run({scale, step});
    }
    return weight;
  };
  const at::Tensor expected = run(/*captured=*/false, false, false);
  EXPECT_TRUE(same_bits(run(/*captured=*/false, true, true), expected));
  EXPECT_TRUE(same_bits(run(/*captured=*/true, false, false), expected));
  EXPECT_FALSE(same_bits(run(/*captured=*/true, true, false), expected));
  EXPECT_FALSE(same_bits(run(/*captured=*/true, false, true), expected));
}

}  // namespace
}  // namespace samebits
