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
  const auto mesh_of = [](std::vector<int64_t> hosted, std::unique_ptr<Communicator> communicator) {
    std::vector<MeshDim> dims;
    dims.push_back({2, std::move(communicator)});
    return DeviceMesh(std::move(dims), std::move(hosted), GatheredSize::kNarrow);
  };
  const auto local = [] { return std::make_unique<LocalCommunicator>(2); };
  EXPECT_NO_THROW(mesh_of({1}, local()));
  EXPECT_THROW(mesh_of({}, local()), c10::Error);
  EXPECT_THROW(mesh_of({2}, local()), c10::Error);
  EXPECT_THROW(mesh_of({1, 0}, local()), c10::Error);
  EXPECT_THROW(mesh_of({0}, nullptr), c10::Error);
  EXPECT_THROW(DeviceMesh({}, {0}, GatheredSize::kNarrow), c10::Error);
  EXPECT_THROW(make_local_grid({2, 0}), c10::Error);
}

TEST(DeviceMesh, AGridHasNeighboursInItsLastDimension) {
  const auto mesh = make_local_grid({2, 3});
  EXPECT_EQ(mesh->size(), 6);
  EXPECT_EQ(mesh->dims(), 2);
  EXPECT_EQ(mesh->size(0), 2);
  EXPECT_EQ(mesh->size(1), 3);
  EXPECT_EQ(mesh->coordinate(4, 0), 1);
  EXPECT_EQ(mesh->coordinate(4, 1), 1);
  using testing::ElementsAre;
  EXPECT_THAT(mesh->groups(0),
              ElementsAre(ElementsAre(0, 3), ElementsAre(1, 4), ElementsAre(2, 5)));
  EXPECT_THAT(mesh->groups(1), ElementsAre(ElementsAre(0, 1, 2), ElementsAre(3, 4, 5)));
}

}  // namespace
}  // namespace samebits
