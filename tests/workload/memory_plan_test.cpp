#include "harness/workload/memory_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "harness/base/error.h"
#include "harness/case/case.h"
#include "harness/dtensor/dtensor.h"
#include "harness/kernels/device_rules.h"
#include "harness/workload/optimizer.h"
#include "harness/workload/workload.h"
#include "tests/base/message_of.h"
#include "tests/support/source_path.h"

namespace samebits {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

const std::string kModel = source_path("cases/models/tiny");

CaseArm tiny_arm(int64_t tp, Dtype dtype, bool master) {
  CaseArm arm;
  arm.name = "a";
  arm.model = kModel;
  arm.mesh.tp = tp;
  arm.numerics.dtype = dtype;
  arm.workload.optimizer.master = master;
  return arm;
}

int64_t bytes_of(const at::Tensor& value) {
  int64_t bytes = 0;
  if (!is_dtensor(value)) return static_cast<int64_t>(value.nbytes());
  for (const at::Tensor& local : locals_of(value)) bytes += static_cast<int64_t>(local.nbytes());
  return bytes;
}

// Against the tensors that are really made.
TEST(MemoryPlanTest, CountsWhatModelCacheAndOptimizerHold) {
  const DecoderConfig config = decoder_config_from_folder(kModel);
  for (const int64_t tp : {1, 2}) {
    for (const Dtype dtype : {Dtype::float32, Dtype::bfloat16}) {
      for (const bool master : {true, false}) {
        const CaseArm arm = tiny_arm(tp, dtype, master);
        const TensorParallel parallel = make_parallel(arm);
        const auto model = make_model(arm, arm.generator, parallel);
        int64_t weights = bytes_of(model->rope().cos) + bytes_of(model->rope().sin);
        for (const Parameter& parameter : model->parameters()) {
          weights += bytes_of(parameter.tensor);
        }
        Optimizer optimizer(*model, arm.workload.optimizer, /*mode=*/{});
        StepGradient& gradient = optimizer.gradient();
        for (int64_t group = 0; group < gradient.groups(); ++group) gradient.end_groups();
        int64_t of_set = 0;
        for (const at::Tensor& sum : gradient.whole()) of_set += bytes_of(sum);
        const int64_t elements = of_set / 4;
        int64_t gradients =
            static_cast<int64_t>(gradient.sets()) * of_set + bytes_of(gradient.sums().tied_head);
        if (!master) gradients += elements * (dtype == Dtype::float32 ? 4 : 2);
        const int64_t blocks = 3 * 2;  // 20 tokens in pages of 16
        const KvCache cache(config, tp, blocks, 16, model->numerics().dtype);
        int64_t pages = 0;
        for (int64_t layer = 0; layer < config.num_hidden_layers; ++layer) {
          for (int64_t rank = 0; rank < tp; ++rank) {
            const KvCache::Page& page = cache.page(layer, rank);
            pages += bytes_of(page.k) + bytes_of(page.v);
          }
        }
        const MemoryPlan plan = plan_memory(arm, config, /*sequences=*/3, /*longest=*/20);
        EXPECT_EQ(plan.weights, 2 * weights);
        EXPECT_EQ(plan.kv_pages, pages);
        EXPECT_EQ(plan.gradients, gradients);
        EXPECT_EQ(plan.optimizer, elements * 4 * (master ? 3 : 2));
      }
    }
  }
}

TEST(MemoryPlanTest, AnArmThatTrainsNothingHoldsOneModel) {
  CaseArm arm = tiny_arm(1, Dtype::bfloat16, /*master=*/true);
  const DecoderConfig config = decoder_config_from_folder(kModel);
  const MemoryPlan trained = plan_memory(arm, config, 1, 16);
  arm.workload.kind = WorkloadKind::kDecode;
  const MemoryPlan scored = plan_memory(arm, config, 1, 16);
  EXPECT_EQ(2 * scored.weights, trained.weights);
  EXPECT_EQ(scored.gradients + scored.optimizer, 0);
}

TEST(MemoryPlanTest, ReplicasInProcessesHaveCopiesAndMayShareTheOptimizerState) {
  CaseArm arm = tiny_arm(1, Dtype::bfloat16, /*master=*/true);
  const DecoderConfig config = decoder_config_from_folder(kModel);
  const MemoryPlan one = plan_memory(arm, config, 1, 16);
  arm.mesh.dp = 4;
  EXPECT_EQ(plan_memory(arm, config, 1, 16).optimizer, one.optimizer) << "one process has one copy";
  arm.mesh.kind = MeshKind::kGloo;
  EXPECT_EQ(plan_memory(arm, config, 1, 16).optimizer, 4 * one.optimizer);
  arm.mesh.optimizer_state = OptimizerState::kSharded;
  EXPECT_EQ(plan_memory(arm, config, 1, 16).optimizer, one.optimizer);
  EXPECT_EQ(plan_memory(arm, config, 1, 16).gradients, 4 * one.gradients);
}

TEST(MemoryPlanTest, TooLittleMemoryIsSaidInOneLine) {
  const CaseArm arm = tiny_arm(1, Dtype::bfloat16, /*master=*/true);
  MemoryPlan plan;
  plan.weights = int64_t{3} << 29;
  plan.optimizer = int64_t{1} << 30;
  check_memory(arm, plan, plan.total());
  EXPECT_EQ(message_of<InputError>([&] { check_memory(arm, plan, plan.total() - 1); }),
            "arm a: needs 2.50 GiB of memory and room for activations (weights 1.50, KV pages "
            "0.00, gradients 0.00, optimizer state 1.00), 2.50 GiB are free on its machine");
}

// A config.json and a case may ask for anything; the answer comes at once and is no small number.
TEST(MemoryPlanTest, AsksForTooMuchWithoutOverflow) {
  CaseArm arm = tiny_arm(1, Dtype::bfloat16, /*master=*/true);
  DecoderConfig config = decoder_config_from_folder(kModel);
  constexpr int64_t kMost = int64_t{1} << 31;  // of any key of config.json
  config.num_hidden_layers = config.hidden_size = config.intermediate_size = kMost;
  config.head_dim = config.num_key_value_heads = config.max_position_embeddings = kMost;
  arm.workload.block_size = 1'000'000;
  const MemoryPlan plan = plan_memory(arm, config, /*sequences=*/int64_t{1} << 40, kMost);
  EXPECT_EQ(plan.total(), std::numeric_limits<int64_t>::max());
  EXPECT_EQ(plan.kv_pages, std::numeric_limits<int64_t>::max());
  EXPECT_THROW(check_memory(arm, plan, int64_t{1} << 60), InputError);
}

TEST(MemoryPlanTest, AnArmThatItsMachineCannotHoldIsRefusedByCheckArm) {
  CaseArm arm = tiny_arm(1, Dtype::bfloat16, /*master=*/true);
  arm.workload.prompts = {{"a", "b"}};
  check_arm(arm);
  arm.workload.group = 1'000'000;
  arm.workload.block_size = 1'000'000;
  EXPECT_THAT(message_of<InputError>([&] { check_arm(arm); }),
              AllOf(HasSubstr("arm a: needs "), HasSubstr(" GiB are free on its machine")));
}

TEST(MemoryPlanTest, AMicroBatchTakesAShareOfTheRestOrWhatItsKeySays) {
  CaseArm arm = tiny_arm(1, Dtype::bfloat16, /*master=*/true);
  const DecoderConfig config = decoder_config_from_folder(kModel);
  const int64_t tokens = train_tokens(arm, config, /*longest=*/20);
  EXPECT_GT(tokens, 20);
  EXPECT_EQ(train_tokens(arm, config, tokens + 7), tokens + 7) << "the longest sequence fits";
  EXPECT_EQ(train_tokens(tiny_arm(2, Dtype::bfloat16, true), config, 20), tokens) << "at every TP";
  EXPECT_LT(train_tokens(tiny_arm(1, Dtype::float32, true), config, 20), tokens);
  arm.workload.max_train_tokens = 33;
  EXPECT_EQ(train_tokens(arm, config, 33), 33);
  EXPECT_EQ(message_of<InputError>([&] { train_tokens(arm, config, 34); }),
            "arm a: workload.max_train_tokens: found 33, expected at least 34, the tokens of the "
            "longest sequence");
}

TEST(MemoryPlanTest, ReplaysOfTheTrainerKeepTheLargestMicroBatchPadded) {
  CaseArm arm = tiny_arm(1, Dtype::bfloat16, /*master=*/true);
  const DecoderConfig config = decoder_config_from_folder(kModel);
  const auto replays = [&](int64_t sequences) {
    return plan_memory(arm, config, sequences, /*longest=*/20).replays;
  };
  EXPECT_EQ(replays(40), 0);
  arm.trainer.execution = Execution::kFullGraph;
  arm.workload.max_train_tokens = 100;
  const int64_t of_token = replays(40) / 101;  // one is padding
  EXPECT_GT(of_token, 1000);
  EXPECT_EQ(replays(40), 101 * of_token);
  EXPECT_EQ(replays(2), 41 * of_token) << "a step has no more";
  arm.trainer.buckets = {64, 128};
  EXPECT_EQ(replays(40), 128 * of_token);
  EXPECT_EQ(replays(2), 64 * of_token);
  EXPECT_THAT(message_of<InputError>(
                  [&] { check_memory(arm, plan_memory(arm, config, 40, 20), /*free=*/1); }),
              HasSubstr(", the trainer's replays 0.0"));
  const int64_t tokens = train_tokens(arm, config, 20);
  arm.trainer.execution = Execution::kEager;
  EXPECT_EQ(train_tokens(arm, config, 20), tokens) << "arms that are compared cut alike";
}

TEST(MemoryPlanTest, FewerGroupsOfAGradientTakeLess) {
  CaseArm arm = tiny_arm(1, Dtype::bfloat16, /*master=*/true);
  const DecoderConfig config = decoder_config_from_folder(kModel);
  const int64_t eight = plan_memory(arm, config, 1, 16).gradients;
  arm.workload.gradient_groups = 1;
  const int64_t one = plan_memory(arm, config, 1, 16).gradients;
  EXPECT_GT(eight, 3 * one);
  EXPECT_LT(eight, 4 * one) << "a tied head has one sum of its own";
}

TEST(DeviceRulesTest, OnlyACardOfAMeasuredStepIsUsed) {
  EXPECT_EQ(why_not_card("NVIDIA H100", 9, 0), "");
  EXPECT_EQ(why_not_card("NVIDIA A100-SXM4-80GB", 8, 0),
            "NVIDIA A100-SXM4-80GB has compute capability 8.0, whose matrix step was not measured; "
            "expected 9.0");
  EXPECT_THAT(why_not_card("NVIDIA B200", 10, 0), HasSubstr("10.0"));
}

TEST(DeviceRulesTest, ADriverOfAnOlderMajorVersionIsNamed) {
  EXPECT_EQ(why_not_driver(13000, 13000), "");
  EXPECT_EQ(why_not_driver(13000, 13010), "");
  EXPECT_EQ(why_not_driver(14000, 13000), "");
  EXPECT_EQ(why_not_driver(12080, 13000),
            "the CUDA driver serves 12.8 at most; expected one for 13.0, which this build was made "
            "with");
  EXPECT_EQ(why_not_driver(0, 13000), "this machine has no CUDA driver");
}

}  // namespace
}  // namespace samebits
