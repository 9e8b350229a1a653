#include <gmock/gmock.h>

#include "harness/mesh/shard.h"
#include "tests/dtensor/support.h"

namespace samebits {
namespace {

using namespace testing_support;
using testing::HasSubstr;

class RedistributeTest : public testing::TestWithParam<int64_t> {};
INSTANTIATE_TEST_SUITE_P(Ranks, RedistributeTest, testing::Values(1, 2, 3, 4, 8));

TEST(Placement, ReadsWhatItPrints) {
  for (const char* text : {"S(0)", "S(11)", "S(-1)", "R", "P(sum)"}) {
    EXPECT_EQ(Placement::from_text(text).text(), text);
  }
  for (const char* text : {"", "S", "S()", "S(1", "S(x)", "S(1) ", "P", "P(max)", "r"}) {
    EXPECT_THROW(Placement::from_text(text), c10::Error) << text;
  }
}

TEST(Placement, CountsDimensionsFromTheFront) {
  EXPECT_EQ(Placement::shard(-1).normalized(3), Placement::shard(2));
  EXPECT_NE(Placement::shard(-1), Placement::shard(2));
  EXPECT_THROW(Placement::shard(3).normalized(3), c10::Error);
  EXPECT_THROW(Placement::shard(-4).normalized(3), c10::Error);
}

TEST_P(RedistributeTest, KeepsTheValueBetweenEveryPairOfPlacements) {
  const auto mesh = make_local_mesh(GetParam());
  for (const int64_t size : {0, 1, 2, 5, 8, 9}) {
    const at::Tensor whole = whole_numbers({size, 3, 4});
    for (const Placement from : placements_of_rank(3)) {
      const at::Tensor x = laid_out(whole, mesh, from);
      EXPECT_TRUE(same_value(x, whole));
      for (const Placement to : placements_of_rank(3)) {
        if (to.is_partial() && !from.is_partial()) {
          EXPECT_THAT(error_of([&] { redistribute(x, to); }),
                      HasSubstr("never split into summands"));
          continue;
        }
        const at::Tensor y = redistribute(x, to);
        EXPECT_EQ(spec_of(y).placement(), to);
        EXPECT_TRUE(same_value(y, whole)) << from << " to " << to << ", size " << size;
      }
    }
  }
}

TEST(Redistribute, TheComparisonSeesAWrongShardOrder) {
  const auto mesh = make_local_mesh(2);
  const at::Tensor whole = at::arange(8, at::kFloat).view({4, 2});
  const at::Tensor x = distribute_tensor(whole, mesh, Placement::shard(0));
  const std::vector<at::Tensor> swapped{locals_of(x)[1], locals_of(x)[0]};
  const at::Tensor wrong = make_dtensor(spec_of(x), whole.sym_sizes(), at::kFloat, swapped);
  EXPECT_TRUE(same_value(x, whole));
  EXPECT_FALSE(same_value(wrong, whole));
}

TEST(DTensor, HasTheSizesOfTheWholeAndNoData) {
  const auto mesh = make_local_mesh(2);
  const at::Tensor x = distribute_tensor(at::ones({5, 3}), mesh, Placement::shard(-2));
  EXPECT_TRUE(is_dtensor(x));
  EXPECT_EQ(x.sizes(), at::IntArrayRef({5, 3}));
  EXPECT_EQ(x.strides(), at::IntArrayRef({3, 1}));
  EXPECT_EQ(x.numel(), 15);
  EXPECT_TRUE(x.is_contiguous());
  EXPECT_EQ(x.scalar_type(), at::kFloat);
  EXPECT_EQ(spec_of(x).placement(), Placement::shard(0));
  EXPECT_EQ(locals_of(x)[1].sizes(), at::IntArrayRef({2, 3}));
  EXPECT_THAT(error_of([&] { x.data_ptr(); }), HasSubstr("a DTensor has no data of its own"));
  EXPECT_THAT(error_of([&] { x.storage(); }), HasSubstr("a DTensor has no data of its own"));
}

TEST(DTensor, DistributesCopies) {
  const auto mesh = make_local_mesh(2);
  const at::Tensor whole = at::ones({4});
  for (const Placement placement : {Placement::shard(0), Placement::replicate()}) {
    const at::Tensor x = distribute_tensor(whole, mesh, placement);
    locals_of(x)[0].fill_(7);
    EXPECT_TRUE(same_bits(whole, at::ones({4})));
    EXPECT_TRUE(same_bits(locals_of(x)[1], at::ones_like(locals_of(x)[1])));
  }
}

TEST(DTensor, PlainTensorsAreRefused) {
  const at::Tensor plain = at::ones({4});
  EXPECT_FALSE(is_dtensor(plain));
  EXPECT_FALSE(is_dtensor(at::Tensor()));
  const auto refuses = HasSubstr("expected a DTensor");
  EXPECT_THAT(error_of([&] { spec_of(plain); }), refuses);
  EXPECT_THAT(error_of([&] { redistribute(plain, Placement::replicate()); }), refuses);
  EXPECT_THAT(error_of([&] { to_local(plain); }), refuses);
  EXPECT_THAT(error_of([&] { full_tensor(plain); }), refuses);
}

TEST(FromLocal, AddsTheSizesOfTheShards) {
  const auto mesh = make_local_mesh(3);
  const at::Tensor whole = whole_numbers({2, 5});
  const at::Tensor x =
      from_local({whole.narrow(1, 0, 2), whole.narrow(1, 2, 2), whole.narrow(1, 4, 1)}, mesh,
                 Placement::shard(-1));
  EXPECT_EQ(x.sizes(), at::IntArrayRef({2, 5}));
  EXPECT_TRUE(same_bits(full_tensor(x), whole));
}

TEST(FromLocal, RefusesLocalsThatAreNoChunks) {
  const auto mesh = make_local_mesh(3);
  const auto from = [&](std::vector<int64_t> sizes, Placement placement) {
    return error_of([&] {
      std::vector<at::Tensor> locals;
      for (const int64_t size : sizes) locals.push_back(at::ones({size}));
      from_local(locals, mesh, placement);
    });
  };
  EXPECT_EQ(from({2, 2, 1}, Placement::shard(0)), "");
  EXPECT_THAT(from({1, 2, 2}, Placement::shard(0)),
              HasSubstr("rank 0 has sizes [1], expected [2]"));
  EXPECT_THAT(from({2, 2}, Placement::shard(0)), HasSubstr("found 2 tensors, expected 3"));
  EXPECT_THAT(from({2, 2, 1}, Placement::replicate()), HasSubstr("rank 2"));
  EXPECT_THAT(from({2, 2, 1}, Placement::partial()), HasSubstr("rank 2"));
}

TEST(ToLocal, SharesTheData) {
  const auto mesh = make_local_mesh(2);
  const at::Tensor x = distribute_tensor(at::zeros({4}), mesh, Placement::shard(0));
  to_local(x)[1].fill_(3);
  EXPECT_TRUE(same_bits(full_tensor(x), at::tensor({0.0f, 0.0f, 3.0f, 3.0f})));
}

}  // namespace
}  // namespace samebits
