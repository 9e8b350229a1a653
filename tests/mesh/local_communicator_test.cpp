#include "harness/mesh/local_communicator.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "harness/mesh/shard.h"
#include "harness/mesh/tree_sum.h"

namespace samebits {
namespace {

at::Tensor share(const at::Tensor& whole, int64_t dim, int64_t n, int64_t rank) {
  const c10::SymInt size = whole.size(dim);
  return whole.narrow(dim, shard_offset(size, n, rank).expect_int(),
                      shard_size(size, n, rank).expect_int());
}

std::vector<at::Tensor> shares(const at::Tensor& whole, int64_t dim, int64_t n) {
  std::vector<at::Tensor> result;
  for (int64_t rank = 0; rank < n; ++rank) result.push_back(share(whole, dim, n, rank));
  return result;
}

class LocalCommunicatorTest : public testing::TestWithParam<int64_t> {};
INSTANTIATE_TEST_SUITE_P(Ranks, LocalCommunicatorTest, testing::Values(1, 2, 3, 4, 8));

TEST_P(LocalCommunicatorTest, AllGatherGivesEveryRankTheWhole) {
  const int64_t n = GetParam();
  LocalCommunicator communicator(n);
  for (const int64_t size : {0, 1, 2, 5, 8, 11}) {
    const at::Tensor whole = at::arange(size * 6).view({2, size, 3});
    for (const at::Tensor& got : communicator.all_gather(shares(whole, 1, n), 1, size)) {
      EXPECT_TRUE(at::equal(got, whole));
      EXPECT_TRUE(got.is_contiguous());
    }
  }
}

TEST_P(LocalCommunicatorTest, AllToAllMovesTheShard) {
  const int64_t n = GetParam();
  LocalCommunicator communicator(n);
  for (const int64_t size : {0, 1, 5, 8}) {
    const at::Tensor whole = at::arange(size * 7).view({size, 7});
    const auto got = communicator.all_to_all(shares(whole, 0, n), 0, size, 1);
    for (int64_t rank = 0; rank < n; ++rank) {
      EXPECT_TRUE(at::equal(got[rank], share(whole, 1, n, rank)));
    }
  }
}

TEST_P(LocalCommunicatorTest, ReduceScatterIsTheShareOfAllReduce) {
  const int64_t n = GetParam();
  LocalCommunicator communicator(n);
  std::vector<at::Tensor> parts;
  for (int64_t rank = 0; rank < n; ++rank) parts.push_back(at::randn({5, 3}));
  const auto sums = communicator.all_reduce(parts);
  const auto shards = communicator.reduce_scatter(parts, 0);
  for (int64_t rank = 0; rank < n; ++rank) {
    EXPECT_TRUE(at::equal(sums[rank], sums[0]));
    EXPECT_TRUE(at::equal(shards[rank], share(sums[0], 0, n, rank)));
  }
}

TEST_P(LocalCommunicatorTest, RanksDoNotShareStorage) {
  const int64_t n = GetParam();
  LocalCommunicator communicator(n);
  const std::vector<at::Tensor> parts(n, at::ones({4}));
  auto sums = communicator.all_reduce(parts);
  sums[0].fill_(-1);
  EXPECT_TRUE(at::equal(parts[0], at::ones({4})));
  for (int64_t rank = 1; rank < n; ++rank)
    EXPECT_TRUE(at::equal(sums[rank], at::full({4}, float(n))));
}

// Values for which every order of additions gives another float32.
TEST(TreeSum, AddsInPairs) {
  const std::vector<float> v = {1e8f, 3.0f, -1e8f, 5.0f, 0.3f};
  std::vector<at::Tensor> parts;
  for (const float value : v) parts.push_back(at::full({2}, value));
  const float expected = ((v[0] + v[1]) + (v[2] + v[3])) + v[4];
  const float ascending = (((v[0] + v[1]) + v[2]) + v[3]) + v[4];
  ASSERT_NE(expected, ascending) << "the values do not tell the orders apart";
  EXPECT_EQ(tree_sum(parts)[1].item<float>(), expected);
}

TEST(TreeSum, RoundsEveryAdditionToItsDtype) {
  const auto part = [](float value) { return at::full({1}, value, at::kBFloat16); };
  // 256 + 1 is 256 in bfloat16, to nearest even; in float32 the sum would be 260.
  const at::Tensor sum = tree_sum({part(256), part(1), part(256), part(1)});
  EXPECT_EQ(sum.scalar_type(), at::kBFloat16);
  EXPECT_EQ(sum.item<float>(), 512.0f);
}

TEST(LocalCommunicator, RefusesWhatDoesNotFit) {
  LocalCommunicator communicator(2);
  const at::Tensor two = at::zeros({2});
  EXPECT_THROW(communicator.all_reduce({two}), c10::Error);
  EXPECT_THROW(communicator.all_reduce({two, at::zeros({3})}), c10::Error);
  EXPECT_THROW(communicator.all_reduce({two, two.to(at::kDouble)}), c10::Error);
  EXPECT_THROW(communicator.all_gather({two, two}, 0, 5), c10::Error);
  EXPECT_THROW(communicator.all_gather({two, two}, 1, 4), c10::Error);
  EXPECT_NO_THROW(communicator.all_gather({two, two}, 0, 4));
}

}  // namespace
}  // namespace samebits
