// Weight syncs with faults planted in them: each is named, with the first weight that it concerns,
// and the arm is off policy from the next step on.
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gmock/gmock.h>

#include <functional>

#include "harness/compare/evidence.h"
#include "harness/compare/on_policy.h"
#include "harness/observe/step_observer.h"
#include "harness/run/in_process_arm.h"
#include "harness/workload/grpo.h"
#include "tests/run/support.h"

namespace samebits {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

class Memory : public ObservationSink {
 public:
  void record(const Observation& observation) override { observations.push_back(observation); }
  void flush() override {}
  std::vector<Observation> observations;
};

at::Tensor weight_at(const Decoder& model, const std::string& site) {
  for (const Parameter& parameter : model.parameters()) {
    if (parameter.site == site) return parameter.tensor.detach();
  }
  throw std::logic_error("no weight " + site);
}

// The right sync, and then what goes wrong.
using Damage = std::function<void(const Decoder& trainer, Decoder& generator)>;
Grpo::MakeSync damaged(const Damage& damage) {
  return [damage](const SyncSettings&, const Decoder& trainer, Decoder& generator) -> WeightSync {
    return [damage, &trainer, &generator] {
      const c10::NoGradGuard no_grad;
      sync_weights(trainer, generator);
      damage(trainer, generator);
    };
  };
}

// A sync of the weights whose sites this accepts.
Grpo::MakeSync only(const std::function<bool(const std::string& site)>& accepts) {
  return [accepts](const SyncSettings&, const Decoder& trainer, Decoder& generator) -> WeightSync {
    return [accepts, &trainer, &generator] {
      const c10::NoGradGuard no_grad;
      for (const Parameter& parameter : generator.parameters()) {
        if (accepts(parameter.site)) parameter.tensor.copy_(weight_at(trainer, parameter.site));
      }
    };
  };
}

// A change of one weight of the generator.
Grpo::MakeSync changed(const std::string& site,
                       const std::function<at::Tensor(at::Tensor)>& change) {
  return damaged([site, change](const Decoder&, Decoder& generator) {
    at::Tensor weight = weight_at(generator, site);
    weight.copy_(change(weight.clone()).reshape(weight.sizes()));
  });
}

Grpo::MakeSync swapped(const std::string& a, const std::string& b) {
  return damaged([a, b](const Decoder&, Decoder& generator) {
    at::Tensor first = weight_at(generator, a);
    at::Tensor second = weight_at(generator, b);
    const at::Tensor kept = first.clone();
    first.copy_(second);
    second.copy_(kept);
  });
}

bool is_of_layer(const std::string& site, int64_t layer) {
  return site.starts_with("layers." + std::to_string(layer) + ".");
}

struct SyncPlant {
  std::string name;
  std::string seen;  // of the fault, after "step 0: N of M weights arrived"
  Grpo::MakeSync sync;
};

const std::string kStayed = "stayed what it was in the generator";
const std::string kChanged = "arrived changed";

std::vector<SyncPlant> plants() {
  return {
      {"nothing_is_copied", "tok_embeddings.weight, which " + kStayed,
       only([](auto&) { return false; })},
      {"tied_head_left_out", "tok_embeddings.weight, which " + kStayed,
       only([](auto& site) { return site != "tok_embeddings.weight"; })},
      {"last_norm_left_out", "norm.weight, which " + kStayed,
       only([](auto& site) { return site != "norm.weight"; })},
      {"half_of_the_layers", "layers.2.attention_norm.weight, which " + kStayed,
       only([](auto& site) { return !is_of_layer(site, 2) && !is_of_layer(site, 3); })},
      {"first_layer_left_out", "layers.0.attention_norm.weight, which " + kStayed,
       only([](auto& site) { return !is_of_layer(site, 0); })},
      {"norms_left_out", "layers.0.attention_norm.weight, which " + kStayed,
       only([](auto& site) { return site.find("norm") == std::string::npos; })},
      {"one_projection_left_out", "layers.3.feed_forward.w2.weight, which " + kStayed,
       only([](auto& site) { return site != "layers.3.feed_forward.w2.weight"; })},
      {"transposed", "layers.0.feed_forward.w1.weight, which " + kChanged,
       changed("layers.0.feed_forward.w1.weight", [](auto w) { return w.t().contiguous(); })},
      {"rows_shifted_by_one", "layers.1.attention.wo.weight, which " + kChanged,
       changed("layers.1.attention.wo.weight", [](auto w) { return w.roll(1, 0); })},
      {"heads_in_another_order", "layers.1.attention.wq.weight, which " + kChanged,
       changed("layers.1.attention.wq.weight", [](auto w) { return w.flip(0); })},
      {"sign_lost", "layers.2.attention.wv.weight, which " + kChanged,
       changed("layers.2.attention.wv.weight", [](auto w) { return w.abs(); })},
      {"set_to_zero", "layers.2.attention.k_norm.weight, which " + kChanged,
       changed("layers.2.attention.k_norm.weight", [](auto w) { return at::zeros_like(w); })},
      {"through_a_smaller_dtype", "layers.0.feed_forward.w2.weight, which " + kChanged,
       changed("layers.0.feed_forward.w2.weight",
               [](auto w) { return w.to(at::kFloat8_e4m3fn).to(w.scalar_type()); })},
      {"one_element_off", "layers.3.attention.wk.weight, which " + kChanged,
       changed("layers.3.attention.wk.weight",
               [](auto w) {
                 w.view({-1}).narrow(0, 17, 1).add_(0.25);
                 return w;
               })},
      {"half_of_the_rows", "layers.0.attention.wq.weight, which " + kChanged,
       changed("layers.0.attention.wq.weight",
               [](auto w) {  // the second rank's shard is the first one's
                 const int64_t half = w.size(0) / 2;
                 w.narrow(0, half, half).copy_(w.narrow(0, 0, half).clone());
                 return w;
               })},
      {"gate_and_up_swapped", "layers.1.feed_forward.w1.weight, which " + kChanged,
       swapped("layers.1.feed_forward.w1.weight", "layers.1.feed_forward.w3.weight")},
      {"keys_and_values_swapped", "layers.0.attention.wk.weight, which " + kChanged,
       swapped("layers.0.attention.wk.weight", "layers.0.attention.wv.weight")},
      {"layers_swapped", "layers.1.attention.wo.weight, which " + kChanged,
       swapped("layers.1.attention.wo.weight", "layers.2.attention.wo.weight")},
      {"averaged_with_the_old", "layers.0.attention_norm.weight, which " + kChanged,
       changed("layers.0.attention_norm.weight", [](auto w) { return w * 1.5; })},
      {"late_by_one", "tok_embeddings.weight, which " + kStayed,
       [](const SyncSettings&, const Decoder& trainer, Decoder& generator) {
         SyncSettings late;
         late.late = 1;
         return make_weight_sync(late, trainer, generator);
       }},
      {"a_stale_copy", "layers.2.attention.wo.weight, which " + kStayed,
       [](const SyncSettings&, const Decoder& trainer, Decoder& generator) -> WeightSync {
         const std::string site = "layers.2.attention.wo.weight";
         return [&trainer, &generator, site, kept = weight_at(trainer, site).clone()]() mutable {
           const c10::NoGradGuard no_grad;
           sync_weights(trainer, generator);
           weight_at(generator, site).copy_(kept);
           kept = weight_at(trainer, site).clone();
         };
       }},
      {"trainer_takes_the_generators",
       "tok_embeddings.weight, which the sync changed in the trainer",
       [](const SyncSettings&, const Decoder& trainer, Decoder& generator) -> WeightSync {
         return [&trainer, &generator] {
           const c10::NoGradGuard no_grad;
           for (const Parameter& parameter : trainer.parameters()) {
             parameter.tensor.detach().copy_(weight_at(generator, parameter.site));
           }
         };
       }},
      {"trainer_is_scaled", "norm.weight, which the sync changed in the trainer",
       damaged(
           [](const Decoder& trainer, Decoder&) { weight_at(trainer, "norm.weight").mul_(2); })},
  };
}

class PlantedSync : public testing::Run {
 protected:
  CaseArm arm() const { return small_case({"steps=2", "workload.optimizer.lr=0.01"}).arms[0]; }

  static ArmRecording recorded(const CaseArm& arm, const Grpo::MakeSync& sync) {
    Grpo grpo(arm, /*world=*/nullptr, sync);
    Memory memory;
    StepObserver observer(memory, Level::kStep);
    ArmRecording recording;
    recording.arm = arm.name;
    recording.finished = true;
    for (int64_t step = 0; step < arm.steps; ++step) {
      recording.steps.push_back(run_step(grpo, step, observer));
    }
    recording.ranks.push_back({std::move(memory.observations), 0, 0});
    return recording;
  }
};

TEST_F(PlantedSync, EachFaultIsNamedAndMakesTheArmOffPolicy) {
  for (const SyncPlant& plant : plants()) {
    SCOPED_TRACE(plant.name);
    const ArmRecording recording = recorded(arm(), plant.sync);
    const Evidence evidence = evidence_of(arm(), recording);
    EXPECT_THAT(evidence.sync, StartsWith("step 0: "));
    EXPECT_THAT(evidence.sync, HasSubstr("first " + plant.seen));
    // A trainer that takes the generator's weights agrees with it: only the sync tells.
    if (plant.name == "trainer_takes_the_generators") continue;
    const auto on_policy = on_policy_of(arm(), recording);
    ASSERT_TRUE(on_policy);
    EXPECT_FALSE(on_policy->holds);
    EXPECT_EQ(on_policy->steps.at(0).different, 0);
    EXPECT_GT(on_policy->steps.at(1).different, 0);
  }
}

TEST_F(PlantedSync, RightSyncHasNoFault) {
  const ArmRecording recording = recorded(arm(), damaged([](const Decoder&, Decoder&) {}));
  EXPECT_EQ(evidence_of(arm(), recording).first(), "");
  EXPECT_TRUE(on_policy_of(arm(), recording)->holds);
}

}  // namespace
}  // namespace samebits
