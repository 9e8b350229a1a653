#include "harness/compare/kept_tensors.h"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>

#include "harness/base/error.h"
#include "tests/support/scratch.h"

namespace samebits {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::message_of;

TensorView tensor_of(const char* name, const std::vector<float>& values,
                     std::vector<int64_t> shape) {
  return {name, Dtype::float32, std::move(shape), std::as_bytes(std::span(values))};
}

TEST(DistanceMap, ACellIsAnElementWhereThereIsRoom) {
  const std::vector<float> a = {1, 2, 0, 4, 5, 6};
  std::vector<float> b = a;
  b[1] = std::nextafter(2.0f, 3.0f);
  b[2] = -0.0f;
  b[5] = std::numeric_limits<float>::quiet_NaN();
  const DistanceMap map = distance_map(tensor_of("a", a, {1, 2, 3}), tensor_of("b", b, {1, 2, 3}));
  EXPECT_EQ(map.rows, 2);
  EXPECT_EQ(map.columns, 3);
  EXPECT_THAT(map.farthest, ElementsAre(0, 1, 1, 0, 0, DistanceMap::kNan));
}

TEST(DistanceMap, ABlockHasTheFarthestOfItsElements) {
  const std::vector<float> a(1000, 1.0f);
  std::vector<float> b = a;
  b[8] = std::nextafter(1.0f, 2.0f);
  b[9] = std::nextafter(b[8], 2.0f);
  const DistanceMap map = distance_map(tensor_of("a", a, {1000}), tensor_of("b", b, {1000}));
  EXPECT_EQ(map.width, DistanceMap::kLongestSide);
  EXPECT_EQ(map.height, 1u);
  EXPECT_EQ(map.farthest[1], 2u);
  EXPECT_EQ(std::count(map.farthest.begin(), map.farthest.end(), 0u), 127);
}

TEST(DistanceMap, AScalarIsOneCell) {
  const std::vector<float> a = {1};
  EXPECT_THAT(distance_map(tensor_of("a", a, {}), tensor_of("b", a, {})).farthest, ElementsAre(0));
}

class KeptTensorsFile : public testing::Scratch {
 protected:
  void keep(const std::vector<TensorView>& views) {
    write_safetensors((folder_ / "difference.safetensors").string(), views,
                      {{"a", "eager"}, {"b", "captured"}, {"place", "step 0, train, loss"}});
  }
};

TEST_F(KeptTensorsFile, IsReadBack) {
  const std::vector<float> a = {1, 2};
  const std::vector<float> b = {1, 3};
  keep({tensor_of("a", a, {2}), tensor_of("b", b, {2})});
  const std::optional<KeptTensors> kept = read_kept_tensors(folder_);
  ASSERT_TRUE(kept);
  EXPECT_EQ(kept->a, "eager");
  EXPECT_EQ(kept->place, "step 0, train, loss");
  EXPECT_EQ(kept->difference.different, 1);
}

TEST_F(KeptTensorsFile, NoneIsNone) { EXPECT_FALSE(read_kept_tensors(folder_)); }

TEST_F(KeptTensorsFile, TensorsOfUnlikeShapeHaveNoElementsToCompare) {
  const std::vector<float> a = {1, 2};
  keep({tensor_of("a", a, {2}), tensor_of("b", a, {1, 2})});
  EXPECT_FALSE(read_kept_tensors(folder_));
}

TEST_F(KeptTensorsFile, WithoutOneOfThemIsRefused) {
  const std::vector<float> a = {1, 2};
  keep({tensor_of("a", a, {2})});
  EXPECT_THAT(message_of<InputError>([&] { read_kept_tensors(folder_); }), HasSubstr("\"b\""));
}

}  // namespace
}  // namespace samebits
