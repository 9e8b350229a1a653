#include "harness/observe/kept_file.h"

#include <gmock/gmock.h>

#include <vector>

#include "harness/observe/run_files.h"
#include "tests/support/scratch.h"

namespace samebits {
namespace {

using ::testing::HasSubstr;

// Two observations of one site in one step, of which tensors are kept.
class KeptFile : public testing::Scratch {
 protected:
  static constexpr float kFirst[2] = {1, 2};
  static constexpr float kSecond[2] = {1, 3};

  static Observation seen(const float* data) {
    return observe_tensor(0, "forward", 0, "mlp#0", Dtype::float32, {2}, data);
  }

  ArmRecording recording() const {
    ArmRecording recording;
    recording.folder = folder_;
    recording.finished = true;
    recording.ranks.push_back({{seen(kFirst), seen(kSecond)}, 0, 0});
    return recording;
  }

  // Of each the name and the elements.
  void keep(const std::vector<std::pair<std::string, const float*>>& tensors,
            const std::vector<int64_t>& shape = {2}) const {
    std::vector<TensorView> views;
    for (const auto& [name, data] : tensors) {
      views.push_back({name, Dtype::float32, shape, std::as_bytes(std::span(data, 2))});
    }
    write_safetensors(run_files::kept(folder_, 0).string(), views);
  }
};

TEST_F(KeptFile, IsReadByPlaceAndOccurrence) {
  keep({{"0 0 forward mlp#0", kFirst}, {"0 1 forward mlp#0", kSecond}});
  ArmRecording read = recording();
  EXPECT_EQ(attach_kept(read), "");
  const std::vector<Observation>& found = read.ranks[0].observations;
  ASSERT_NE(found[0].kept.tensor, nullptr);
  ASSERT_NE(found[1].kept.tensor, nullptr);
  EXPECT_EQ(found[0].kept.tensor->name, "0 0 forward mlp#0");
  EXPECT_EQ(found[1].kept.tensor->name, "0 1 forward mlp#0");
}

TEST_F(KeptFile, MayHaveSomeOfTheTensorsOrBeAbsent) {
  ArmRecording without = recording();
  EXPECT_EQ(attach_kept(without), "");
  EXPECT_EQ(without.ranks[0].observations[0].kept.tensor, nullptr);
  keep({{"0 1 forward mlp#0", kSecond}});
  ArmRecording some = recording();
  EXPECT_EQ(attach_kept(some), "");
  EXPECT_EQ(some.ranks[0].observations[0].kept.tensor, nullptr);
  EXPECT_NE(some.ranks[0].observations[1].kept.tensor, nullptr);
}

TEST_F(KeptFile, WhatTheStreamDidNotObserveIsTold) {
  keep({{"0 0 forward mlp#0", kSecond}});
  ArmRecording other = recording();
  EXPECT_THAT(attach_kept(other), HasSubstr("\"0 0 forward mlp#0\" is not what was observed"));
  EXPECT_EQ(other.ranks[0].observations[0].kept.tensor, nullptr);
  std::filesystem::remove(run_files::kept(folder_, 0));
  keep({{"0 0 forward mlp#0", kFirst}}, {1, 2});
  ArmRecording unlike = recording();
  EXPECT_THAT(attach_kept(unlike), HasSubstr("is not what was observed"));
  std::filesystem::remove(run_files::kept(folder_, 0));
  keep({{"0 2 forward mlp#0", kFirst}});
  ArmRecording nowhere = recording();
  EXPECT_EQ(attach_kept(nowhere), "kept-0.safetensors has tensors that were not observed");
  nowhere.finished = false;  // its last lines may be lost
  EXPECT_EQ(attach_kept(nowhere), "");
}

}  // namespace
}  // namespace samebits
