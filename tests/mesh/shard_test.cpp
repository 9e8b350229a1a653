#include "harness/mesh/shard.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace samebits {
namespace {

TEST(Shard, FollowsTorchChunk) {
  for (int64_t n = 1; n <= 9; ++n) {
    for (int64_t size = 0; size <= 40; ++size) {
      const auto chunks = at::arange(size).chunk(n);
      for (int64_t rank = 0; rank < n; ++rank) {
        // chunk() leaves empty pieces out; of nothing it gives one empty piece.
        const bool present = rank < static_cast<int64_t>(chunks.size());
        const int64_t expected = present ? chunks[rank].numel() : 0;
        EXPECT_EQ(shard_size(size, n, rank), expected)
            << size << " over " << n << ", rank " << rank;
        if (expected > 0) {
          EXPECT_EQ(shard_offset(size, n, rank), chunks[rank][0].item<int64_t>());
        } else {
          EXPECT_EQ(shard_offset(size, n, rank), size);
        }
      }
    }
  }
}

TEST(Shard, UnevenShardsAreNotBalanced) {
  // 5 over 3 is 2, 2, 1 and not the other way round; 5 over 4 leaves the last rank empty.
  EXPECT_EQ(shard_size(5, 3, 2), 1);
  EXPECT_EQ(shard_size(5, 4, 2), 1);
  EXPECT_EQ(shard_size(5, 4, 3), 0);
  EXPECT_EQ(shard_offset(5, 4, 3), 5);
}

}  // namespace
}  // namespace samebits
