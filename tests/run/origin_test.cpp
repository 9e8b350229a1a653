#include "harness/run/origin.h"

#include <gmock/gmock.h>

#include "harness/base/error.h"
#include "harness/base/json_difference.h"
#include "tests/run/support.h"

namespace samebits {
namespace {

using ::testing::HasSubstr;
using Origin = testing::Run;

TEST_F(Origin, IsTheSameOfTheSameAndNamesWhatChanged) {
  model_ = copy_of_model();
  const Json before = origin_of(small_case(), Level::kStep);
  EXPECT_EQ(before, origin_of(small_case(), Level::kStep));
  EXPECT_EQ(first_difference(before, origin_of(small_case(), Level::kOp))->key, "level");
  flip_bit(model_ / "model.safetensors", 1000);
  EXPECT_THAT(first_difference(before, origin_of(small_case(), Level::kStep))->key,
              HasSubstr("model.safetensors"));
}

TEST_F(Origin, HasTheProgramAndLibTorch) {
  const Json origin = origin_of(small_case(), Level::kStep);
  EXPECT_EQ(origin.at("samebits").get<std::string>().size(), 32u);
  EXPECT_TRUE(origin.at("libraries").contains("libtorch_cpu.so"));
  EXPECT_NE(origin.at("libraries").at("libtorch_cpu.so"), "unknown");
}

TEST_F(Origin, ModelThatIsNotThereIsRefused) {
  model_ = folder_ / "nosuch";
  EXPECT_THROW(origin_of(small_case(), Level::kStep), InputError);
}

}  // namespace
}  // namespace samebits
