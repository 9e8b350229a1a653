#include "repro/tree_sum_depends_on_count/repro.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "harness/detect/findings.h"
#include "harness/dtensor/copies.h"

namespace samebits {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(ChainsInATree, IsAsThePersonWritesIt) {
  EXPECT_EQ(chains_in_a_tree(4).str(), "((r0 + r1) + (r2 + r3))");
  EXPECT_EQ(chains_in_a_tree(6).str(), "(((r0 + r1) + r2) + ((r3 + r4) + r5))");
  EXPECT_EQ(pairwise_tree(6).str(), "(((r0 + r1) + (r2 + r3)) + (r4 + r5))");
}

// Qwen3-4B's down projection at TP 2: K is 4864, a tile 128.
TEST(ChainsInATree, Of38TilesIsTwoChainsOf19) {
  const ReductionTree tree = chains_in_a_tree(4864 / 128);
  const auto leaves_down_the_left = [](const ReductionTree* half) {
    int64_t count = 1;
    for (; !half->halves.empty(); half = &half->halves[0]) ++count;
    return count;
  };
  EXPECT_EQ(leaves_down_the_left(&tree.halves[0]), 19);
  EXPECT_EQ(leaves_down_the_left(&tree.halves[1]), 19);
}

bool is_power_of_two(int64_t n) { return (n & (n - 1)) == 0; }

// Of three there is one chain, which is the tree too.
TEST(ChainsInATree, IsPairsForPowersOfTwoAndForThreeAlone) {
  for (int64_t tiles = 1; tiles <= 64; ++tiles) {
    const auto contributions = ill_conditioned_contributions(tiles);
    const bool same = same_bits(chains_in_a_tree(tiles).sum(contributions),
                                pairwise_tree(tiles).sum(contributions));
    EXPECT_EQ(same, is_power_of_two(tiles) || tiles == 3) << tiles;
  }
}

TEST(SummedTiles, AreFoundWhereTheProductGoesIn) {
  EXPECT_THAT(boundary_changes(summed_tiles(TileOrder::kPairs)),
              ElementsAre(HasSubstr("aten::add.Tensor: other is BFloat16, in the reference "
                                    "BFloat16, with other values")));
  EXPECT_THAT(boundary_changes(summed_tiles(TileOrder::kChainsInATree)), IsEmpty());
}

}  // namespace
}  // namespace samebits
