#include "harness/mesh/device_mesh.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/custom_class.h>

#include "harness/mesh/local_communicator.h"

namespace samebits {
namespace {

TEST(DeviceMesh, LocalMeshHostsEveryRank) {
  const auto mesh = make_local_mesh(3);
  EXPECT_EQ(mesh->size(), 3);
  EXPECT_THAT(mesh->hosted_ranks(), testing::ElementsAre(0, 1, 2));
}

TEST(DeviceMesh, TravelsThroughAnIValue) {
  const auto mesh = make_local_mesh(2);
  const c10::IValue value(mesh);
  EXPECT_EQ(value.toCustomClass<DeviceMesh>(), mesh);
  EXPECT_THAT(value.type()->repr_str(),
              testing::StartsWith("__torch__.torch.classes.samebits.DeviceMesh"));
}

TEST(DeviceMesh, RefusesWhatIsNoMesh) {
  EXPECT_THROW(make_local_mesh(0), c10::Error);
  const auto mesh_of = [](std::vector<int64_t> hosted) {
    return DeviceMesh(2, std::move(hosted), std::make_unique<LocalCommunicator>(2),
                      GatheredSize::kNarrow);
  };
  EXPECT_NO_THROW(mesh_of({1}));
  EXPECT_THROW(mesh_of({}), c10::Error);
  EXPECT_THROW(mesh_of({2}), c10::Error);
  EXPECT_THROW(mesh_of({1, 0}), c10::Error);
  EXPECT_THROW(DeviceMesh(2, {0}, nullptr, GatheredSize::kNarrow), c10::Error);
}

}  // namespace
}  // namespace samebits
