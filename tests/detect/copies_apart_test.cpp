// copies_apart: a rank that holds another copy than the others is named, and copies that are one
// are not.

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <torch/csrc/autograd/autograd.h>

#include "harness/case/case.h"
#include "harness/detect/findings.h"
#include "harness/detect/model_subject.h"
#include "harness/dtensor/dtensor.h"
#include "tests/support/source_path.h"

namespace samebits {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

using Tensors = std::vector<at::Tensor>;

// Whole numbers over four ranks; `fault` may change the local tensors that one value is made of.
Subject subject_with(const std::function<void(Tensors&)>& fault) {
  const auto mesh = make_local_mesh(4);
  Subject subject;
  subject.hint = 4;
  subject.sizes = {1, 4};
  subject.inputs = [mesh](int64_t size) {
    return Tensors{
        distribute_tensor(at::arange(8.F * size).view({size, 8}), mesh, Placement::replicate())};
  };
  subject.program = [mesh, fault](const Tensors& in) {
    Tensors locals = to_local(in[0]);
    for (at::Tensor& local : locals) local = local * 2;
    fault(locals);
    return Tensors{from_local(locals, mesh, Placement::replicate()) + 1};
  };
  return subject;
}

TEST(CopiesApart, ARankThatWentItsOwnWayIsNamedWhereItFirstDid) {
  const Subject subject = subject_with([](Tensors& locals) {
    for (const int64_t rank : {1, 3}) locals[rank][0][5] += 1;
  });
  const Findings found = copies_apart(subject);
  ASSERT_FALSE(found.empty());
  EXPECT_THAT(found[0], HasSubstr("at 1: samebits::from_local on ("));
  EXPECT_THAT(found[0], HasSubstr("result 0: ranks 1 and 3 differ from rank 0"));
}

TEST(CopiesApart, EqualCopiesShardsAndPendingSumsAreNone) {
  EXPECT_THAT(copies_apart(subject_with([](Tensors&) {})), IsEmpty());
  Subject subject = subject_with([](Tensors&) {});
  subject.program = [](const Tensors& in) {
    return Tensors{redistribute(in[0], Placement::shard(1)).sum(), at::empty_like(in[0]).zero_()};
  };
  EXPECT_THAT(copies_apart(subject), IsEmpty());
}

// What owns no memory may be one to memory that was given back, where anything can stand.
TEST(CopiesApart, MemoryThatNobodyOwnsIsNotRead) {
  Subject subject = subject_with([](Tensors&) {});
  const std::vector<at::Tensor> owned = {at::ones({8}), at::ones({8}), at::zeros({8}),
                                         at::ones({8})};
  const auto mesh = make_local_mesh(4);
  const auto program_over = [&](bool is_owned) -> Program {
    return [&owned, mesh, is_owned](const Tensors&) {
      Tensors locals;
      for (const at::Tensor& each : owned) {
        locals.push_back(is_owned ? each.clone() : at::from_blob(each.data_ptr(), {8}));
      }
      return Tensors{from_local(locals, mesh, Placement::replicate())};
    };
  };
  subject.program = program_over(/*is_owned=*/false);
  EXPECT_THAT(copies_apart(subject), IsEmpty());
  subject.program = program_over(/*is_owned=*/true);
  EXPECT_THAT(copies_apart(subject), testing::Contains(HasSubstr("rank 2 differs from rank 0")));
}

TEST(CopiesApart, GradientsToo) {
  Subject subject = subject_with([](Tensors&) {});
  subject.gradients = [&](const Tensors& in) {
    const at::Tensor x = in[0].detach().requires_grad_(true);
    Tensors locals = to_local(x);
    for (size_t rank = 0; rank < locals.size(); ++rank) {
      locals[rank] = locals[rank] * (rank == 2 ? 3 : 2);
    }
    const at::Tensor y = from_local(locals, spec_of(x).mesh, Placement::replicate());
    return torch::autograd::grad({y}, {x}, {at::ones_like(y)});
  };
  const Findings found = copies_apart(subject);
  ASSERT_FALSE(found.empty());
  for (const std::string& each : found) {
    EXPECT_THAT(each, HasSubstr("gradients at 4: "));
    EXPECT_THAT(each, HasSubstr("rank 2 differs from rank 0"));
  }
  EXPECT_THAT(found.back(), HasSubstr("result 0"));
}

// Sequence-parallel norms and column-parallel products: every gradient of a model on two ranks.
TEST(CopiesApart, AModelHasNone) {
  const Case c = load_case(source_path("cases/grpo-tiny.json"));
  Subject subject = subject_of_arm(c.arm("eager-tp2"));
  EXPECT_THAT(copies_apart(subject), IsEmpty());
  const Tensors gradients = subject.gradients(subject.inputs(subject.hint));
  EXPECT_GT(gradients.size(), 10u);
  EXPECT_THAT(gradients, testing::Each(testing::Truly(is_dtensor)));
}

}  // namespace
}  // namespace samebits
