// Placements on meshes of several dimensions.

#include <gmock/gmock.h>

#include "tests/dtensor/support.h"
#include "tests/mesh/processes.h"

namespace samebits {
namespace {

using namespace testing_support;
using ::testing::HasSubstr;

const Placement kRows = Placement::shard(0);
const Placement kReplicate = Placement::replicate();
const Placement kPending = Placement::partial();

bool is_split_into_summands(const Placements& from, const Placements& to) {
  for (int64_t d = 0; d < to.dims(); ++d) {
    if (to[d].is_partial() && !from[d].is_partial()) return true;
  }
  return false;
}

class GridTest : public ::testing::TestWithParam<std::vector<int64_t>> {};
INSTANTIATE_TEST_SUITE_P(Sizes, GridTest,
                         ::testing::Values(std::vector<int64_t>{2, 2}, std::vector<int64_t>{2, 3},
                                           std::vector<int64_t>{4, 1},
                                           std::vector<int64_t>{2, 1, 2}));

TEST(Placements, ReadWhatTheyPrint) {
  for (const char* text : {"S(0)", "R", "[S(0), R]", "[S(1), S(1)]", "[P(sum), S(-1), R]"}) {
    EXPECT_EQ(Placements::from_text(text).text(), text);
  }
  for (const char* text : {"", "[]", "[R", "R]", "[R,R]", "[R, ]", "S(0), R", "[R, R] "}) {
    EXPECT_THROW(Placements::from_text(text), c10::Error) << text;
  }
  EXPECT_THROW(Placements({kRows, kReplicate}).only(), c10::Error);
}

TEST_P(GridTest, RedistributeKeepsTheValueBetweenEveryPairOfPlacements) {
  const auto mesh = make_local_grid(GetParam());
  const std::vector<Placements> all = placements_on_grid(2, mesh->dims());
  for (const int64_t size : {0, 1, 5, 8}) {
    const at::Tensor whole = whole_numbers({size, 3});
    for (const Placements& from : all) {
      const at::Tensor x = laid_out(whole, mesh, from);
      ASSERT_TRUE(same_value(x, whole)) << from;
      for (const Placements& to : all) {
        if (is_split_into_summands(from, to)) {
          EXPECT_THAT(error_of([&] { redistribute(x, to); }),
                      HasSubstr("never split into summands"));
          continue;
        }
        const at::Tensor y = redistribute(x, to);
        ASSERT_EQ(spec_of(y).placements, to);
        ASSERT_TRUE(same_value(y, whole)) << from << " to " << to << ", size " << size;
      }
    }
  }
}

TEST(Grid, TheComparisonSeesRanksThatChangedPlaces) {
  const auto mesh = make_local_grid({2, 2});
  const at::Tensor whole = at::arange(8, at::kFloat).view({4, 2});
  const at::Tensor x = distribute_tensor(whole, mesh, {kRows, Placement::shard(1)});
  const auto& locals = locals_of(x);
  const at::Tensor turned = make_dtensor(spec_of(x), whole.sym_sizes(), at::kFloat,
                                         {locals[0], locals[2], locals[1], locals[3]});
  EXPECT_TRUE(same_value(x, whole));
  EXPECT_FALSE(same_value(turned, whole));
}

TEST(Grid, TheFirstDimensionCutsFirst) {
  const auto mesh = make_local_grid({2, 2});
  const at::Tensor x = distribute_tensor(at::arange(5), mesh, {kRows, kRows});
  EXPECT_TRUE(same_bits(locals_of(x)[0], at::tensor({0, 1}, at::kLong)));
  EXPECT_TRUE(same_bits(locals_of(x)[1], at::tensor({2}, at::kLong)));
  EXPECT_TRUE(same_bits(locals_of(x)[2], at::tensor({3}, at::kLong)));
  EXPECT_TRUE(same_bits(locals_of(x)[3], at::tensor({4}, at::kLong)));
}

// Summands for which the order of additions shows: ranks of a row first, then rows, wherever the
// sum is wanted.
TEST(Grid, PendingSumsHaveOneOrder) {
  const auto mesh = make_local_grid({2, 2});
  const std::vector<float> summands = {1e8F, 1.0F, -1e8F, 1.0F};
  std::vector<at::Tensor> locals;
  for (const float summand : summands) locals.push_back(at::full({4, 2}, summand));
  const at::Tensor x = from_local(locals, mesh, {kPending, kPending});
  const float by_rows = (1e8F + 1.0F) + (-1e8F + 1.0F);
  const float by_columns = (1e8F + -1e8F) + (1.0F + 1.0F);
  ASSERT_NE(by_rows, by_columns);
  for (const Placements& to : placements_on_grid(2, 2)) {
    if (to.has_partial()) continue;
    EXPECT_TRUE(same_bits(full_tensor(redistribute(x, to)), at::full({4, 2}, by_rows))) << to;
  }
}

TEST(Grid, GradientsLieAsWhatTheyAreOf) {
  const auto mesh = make_local_grid({2, 2});
  const at::Tensor whole = whole_numbers({5, 6});
  const at::Tensor weight = whole_numbers({6, 4});
  const at::Tensor plain_x = whole.clone().requires_grad_(true);
  const at::Tensor plain_w = weight.clone().requires_grad_(true);
  const at::Tensor plain_y = plain_x.mm(plain_w);
  (plain_y * plain_y).sum().backward();
  // Rows over the first dimension, columns of the weight over the second: replicas of a
  // tensor-parallel product.
  const at::Tensor x = distribute_tensor(whole, mesh, {kRows, kReplicate}).requires_grad_(true);
  const at::Tensor w =
      distribute_tensor(weight, mesh, {kReplicate, Placement::shard(1)}).requires_grad_(true);
  const at::Tensor y = x.mm(w);
  EXPECT_EQ(spec_of(y).placements, Placements({kRows, Placement::shard(1)}));
  EXPECT_TRUE(same_value(y, plain_y.detach()));
  (y * y).sum().backward();
  EXPECT_TRUE(same_value(x.grad(), plain_x.grad()));
  EXPECT_TRUE(same_value(w.grad(), plain_w.grad()));
}

TEST(Grid, WhatTwoDimensionsWouldRewriteIsRefused) {
  const auto mesh = make_local_grid({2, 2});
  const at::Tensor whole = whole_numbers({4, 6});
  const at::Tensor rows = distribute_tensor(whole, mesh, {kRows, kReplicate});
  EXPECT_TRUE(same_value(rows.view({4, 2, 3}), whole.view({4, 2, 3})));
  const at::Tensor both = distribute_tensor(whole, mesh, {kRows, kRows});
  EXPECT_THAT(error_of([&] {
                both.view({4, 2, 3});
              }),
              HasSubstr("aten::view with placements ([S(0), S(0)]): two dimensions of the mesh"));
}

TEST(Grid, APlacementForEachDimensionIsWanted) {
  const auto mesh = make_local_grid({2, 2});
  EXPECT_THAT(error_of([&] { distribute_tensor(at::ones({4}), mesh, kRows); }),
              HasSubstr("found placements S(0), expected one for each of the mesh's 2 dimensions"));
  const at::Tensor x = distribute_tensor(at::ones({4}), mesh, {kRows, kReplicate});
  EXPECT_THAT(error_of([&] { redistribute(x, kReplicate); }),
              HasSubstr("found placements R, expected one for each of the mesh's 2 dimensions"));
}

// Every rank a process to gloo, against all of them in this one.
TEST(Grid, ProcessesHaveTheBitsOfTheLocalGrid) {
  const std::vector<int64_t> sizes = {2, 3};
  const at::Tensor whole = at::randn({7, 5});
  const auto local = make_local_grid(sizes);
  std::vector<at::Tensor> sources, expected;
  std::vector<std::pair<Placements, Placements>> moves;
  for (const Placements& from : placements_on_grid(2, 2)) {
    for (const Placements& to : placements_on_grid(2, 2)) {
      if (is_split_into_summands(from, to)) continue;
      moves.emplace_back(from, to);
      sources.push_back(laid_out(whole, local, from));
      expected.push_back(redistribute(sources.back(), to));
    }
  }
  std::vector<std::vector<at::Tensor>> got(6, std::vector<at::Tensor>(moves.size()));
  testing::run_grid(sizes, [&](auto transports) {
    const auto mesh = make_process_grid(std::move(transports));
    const auto rank = static_cast<size_t>(mesh->hosted_ranks()[0]);
    for (size_t i = 0; i < moves.size(); ++i) {
      const DTensorSpec spec = {mesh, moves[i].first};
      const at::Tensor x =
          make_dtensor(spec, whole.sym_sizes(), at::kFloat, {locals_of(sources[i])[rank]});
      got[rank][i] = locals_of(redistribute(x, moves[i].second))[0];
    }
  });
  for (size_t rank = 0; rank < got.size(); ++rank) {
    for (size_t i = 0; i < moves.size(); ++i) {
      EXPECT_TRUE(same_bits(got[rank][i], locals_of(expected[i])[rank]))
          << moves[i].first << " to " << moves[i].second << ", rank " << rank;
    }
  }
}

}  // namespace
}  // namespace samebits
