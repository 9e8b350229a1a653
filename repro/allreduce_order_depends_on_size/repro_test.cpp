#include "repro/allreduce_order_depends_on_size/repro.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "harness/detect/findings.h"
#include "harness/detect/model_subject.h"
#include "tests/support/source_path.h"

namespace samebits {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

std::vector<at::Tensor> one_large() {
  return at::tensor({256., 1., 1., 1.}).to(at::kBFloat16).unbind();
}

TEST(ReductionTree, EachOrderHasItsOwnBits) {
  const auto sum = [](const ReductionTree& tree) { return tree.sum(one_large()).item<float>(); };
  EXPECT_EQ(sum(chain_from(0, 4)), 256);
  EXPECT_EQ(sum(chain_from(1, 4)), 260);
  EXPECT_EQ(sum(pairwise_tree(4)), 258);
}

TEST(ReductionTree, IsAsThePersonWritesIt) {
  EXPECT_EQ(pairwise_tree(5).str(), "(((r0 + r1) + (r2 + r3)) + r4)");
  EXPECT_EQ(chain_from(2, 4).str(), "(((r2 + r3) + r0) + r1)");
}

TEST(ReductionTree, AllOrdersAreThereOnceAndTellApart) {
  const size_t counts[] = {1, 1, 3, 15, 105, 945};  // (2n - 3)!!
  for (int64_t ranks = 1; ranks <= 6; ++ranks) {
    std::set<std::string> bits;
    const auto contributions = ill_conditioned_contributions(ranks);
    for (const ReductionTree& tree : all_reduction_trees(ranks)) {
      const at::Tensor sum = tree.sum(contributions).contiguous();
      bits.emplace(static_cast<const char*>(sum.const_data_ptr()), sum.nbytes());
    }
    EXPECT_THAT(bits, SizeIs(counts[ranks - 1])) << ranks;
  }
}

// The chunk of a ring that an element is in decides where its chain begins.
TEST(RingSum, HasAnotherOrderInEachChunk) {
  const at::Tensor contributions = at::stack(one_large()).view({4, 1}).expand({4, 8}).contiguous();
  const at::Tensor sums = sum_over_ranks(contributions, SumAlgorithm::kRing).to(at::kFloat);
  EXPECT_TRUE(
      at::equal(sums, at::tensor({256., 256., 260., 260., 260., 260., 256., 256.}, at::kFloat)))
      << sums;
}

TEST(SumOrder, IsNamedWhereItIsNotTheDeclaredOne) {
  const auto found = undeclared_orders(all_reduced_rows(SumAlgorithm::kBySize));
  EXPECT_THAT(found, Contains(HasSubstr(
                         "all_reduce over 4 ranks, at 0 of a message of 1024, as rank 0 has it: "
                         "declared is ((r0 + r1) + (r2 + r3)), found (((r0 + r1) + r2) + r3)")));
  EXPECT_THAT(found, Contains(HasSubstr(
                         "at 960 of a message of 1024, as rank 0 has it: declared is ((r0 + r1) "
                         "+ (r2 + r3)), found (((r0 + r3) + r1) + r2)")));
  EXPECT_THAT(found, Contains(HasSubstr("found no one order for the whole row")));
  EXPECT_THAT(undeclared_orders(all_reduced_rows(SumAlgorithm::kTree)), IsEmpty());
}

class MeshSumTest : public testing::TestWithParam<int64_t> {
 protected:
  static Subject subject() {
    ArmSettings arm;
    arm.model = source_path("cases/models/tiny");
    arm.mesh.tp = GetParam();
    return subject_of_arm(arm);
  }
};

TEST_P(MeshSumTest, HasTheOrderThatTheMeshDeclares) {
  EXPECT_THAT(subject().rank_sums, SizeIs(2));
  EXPECT_THAT(undeclared_orders(subject()), IsEmpty());
}

// The control: two ranks have one order, more have others than the declared one.
TEST_P(MeshSumTest, IsFoundWhereItDeclaresAnother) {
  Subject wrong = subject();
  for (RankSum& sum : wrong.rank_sums) sum.declared = chain_from(0, sum.ranks);
  const auto found = undeclared_orders(wrong);
  if (GetParam() == 2) {
    EXPECT_THAT(found, IsEmpty());
  } else {
    EXPECT_THAT(found, Contains(HasSubstr("all_reduce over ")));
    EXPECT_THAT(found, Contains(HasSubstr("reduce_scatter over ")));
  }
}

INSTANTIATE_TEST_SUITE_P(Tp, MeshSumTest, testing::Values(2, 4, 8));

}  // namespace
}  // namespace samebits
