#include "repro/weight_sync_into_meta/repro.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "harness/detect/findings.h"

namespace samebits {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::vector<at::Tensor> outputs_of_steps(SyncInto into, bool of_trainer) {
  const Subject subject = generator_after_sync(into);
  std::vector<at::Tensor> outputs;
  for (int64_t step = 0; step < 3; ++step) {
    const std::vector<at::Tensor> in = subject.inputs(4);
    outputs.push_back((of_trainer ? subject.reference : subject.program)(in)[0]);
  }
  return outputs;
}

// What the table of the pull request compared: two arms that share the fault.
TEST(WeightSyncIntoMeta, TwoGeneratorsWithTheFaultAgreeAndNeverMove) {
  const auto first = outputs_of_steps(SyncInto::kMeta, /*of_trainer=*/false);
  const auto second = outputs_of_steps(SyncInto::kMeta, /*of_trainer=*/false);
  const auto trainer = outputs_of_steps(SyncInto::kMeta, /*of_trainer=*/true);
  for (size_t step = 0; step < first.size(); ++step) {
    EXPECT_TRUE(at::equal(first[step], second[step]));
    EXPECT_TRUE(at::equal(first[step], first[0]));
    EXPECT_FALSE(at::equal(first[step], trainer[step]));
  }
}

TEST(WeightSyncIntoMeta, SyncedGeneratorMovesWithItsTrainer) {
  const auto generator = outputs_of_steps(SyncInto::kWeights, /*of_trainer=*/false);
  const auto trainer = outputs_of_steps(SyncInto::kWeights, /*of_trainer=*/true);
  for (size_t step = 0; step < generator.size(); ++step) {
    EXPECT_TRUE(at::equal(generator[step], trainer[step]));
  }
  EXPECT_FALSE(at::equal(generator[0], generator[1]));
}

TEST(WeightSyncIntoMeta, IsFoundWhereTheWeightGoesIn) {
  EXPECT_THAT(boundary_changes(generator_after_sync(SyncInto::kMeta)),
              ElementsAre(HasSubstr("samebits::linear: weight is Float, in the reference Float, "
                                    "with other values")));
  EXPECT_THAT(boundary_changes(generator_after_sync(SyncInto::kWeights)), IsEmpty());
}

}  // namespace
}  // namespace samebits
