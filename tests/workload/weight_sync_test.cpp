#include "harness/workload/weight_sync.h"

#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include "harness/dtensor/dtensor.h"
#include "harness/model/qwen3.h"
#include "tests/support/random_model.h"

namespace samebits {
namespace {

using testing::random_weights;
using testing::same_bits;
using testing::small_config;

using Tensors = std::vector<at::Tensor>;

// Of every rank, as they lie in memory.
Tensors local_weights(const Decoder& model) {
  Tensors locals;
  for (const Parameter& parameter : model.parameters()) {
    if (!is_dtensor(parameter.tensor)) {
      locals.push_back(parameter.tensor.detach());
      continue;
    }
    for (const at::Tensor& local : locals_of(parameter.tensor)) locals.push_back(local);
  }
  return locals;
}

TEST(WeightSync, GivesTheTrainedBitsAtTheGeneratorsAddresses) {
  for (const int64_t tp : {1, 2}) {
    SCOPED_TRACE(tp);
    const DecoderConfig config = small_config();
    const auto parallel = tp == 1 ? TensorParallel() : TensorParallel(make_local_mesh(tp));
    Qwen3 trained(config, Numerics(), parallel, random_weights(config, /*seed=*/1));
    Qwen3 generator(config, Numerics(), parallel, random_weights(config, /*seed=*/2));
    for (Parameter& parameter : trained.parameters()) parameter.tensor.requires_grad_(true);
    const Tensors before = local_weights(generator);
    EXPECT_FALSE(same_bits(local_weights(trained), before));

    sync_weights(trained, generator);
    const Tensors after = local_weights(generator);
    EXPECT_TRUE(same_bits(local_weights(trained), after));
    ASSERT_EQ(before.size(), after.size());
    for (size_t i = 0; i < before.size(); ++i) {
      EXPECT_EQ(before[i].const_data_ptr(), after[i].const_data_ptr());
    }
    for (const Parameter& parameter : generator.parameters()) {
      EXPECT_FALSE(parameter.tensor.requires_grad());
    }
  }
}

}  // namespace
}  // namespace samebits
