// shard_difference where the catalogue has no bug: what it must not cry at, and what it compares.

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "harness/case/case.h"
#include "harness/detect/eager_calls.h"
#include "harness/detect/findings.h"
#include "harness/detect/model_subject.h"
#include "harness/detect/sharded.h"
#include "harness/dtensor/dtensor.h"
#include "tests/support/source_path.h"

namespace samebits {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::Optional;

using Tensors = std::vector<at::Tensor>;

bool takes_dtensor(const EagerCall& call) {
  const Tensors tensors = tensors_in(call.args);
  return std::any_of(tensors.begin(), tensors.end(), is_dtensor);
}

at::Tensor pending_sum(const Tensors& summands) {
  const auto mesh = make_local_mesh(static_cast<int64_t>(summands.size()));
  return from_local(summands, mesh, Placement::partial());
}

TEST(DifferenceFromWhole, ComparesBitsAndNansAsEqual) {
  const auto mesh = make_local_mesh(2);
  const at::Tensor whole = at::tensor({0., 1., std::nan("")}, at::kFloat);
  const at::Tensor got = distribute_tensor(whole, mesh, Placement::shard(0));
  EXPECT_EQ(difference_from_whole(got, whole), std::nullopt);
  EXPECT_THAT(difference_from_whole(got, at::tensor({-0., 1., std::nan("")}, at::kFloat)),
              Optional(HasSubstr("element [0] is 0, expected -0")));
  EXPECT_THAT(difference_from_whole(got, whole.to(at::kDouble)),
              Optional(HasSubstr("dtype Float, expected Double")));
  EXPECT_THAT(difference_from_whole(got, whole.view({1, 3})),
              Optional(HasSubstr("sizes [3], expected [1, 3]")));
}

TEST(DifferenceFromWhole, LooksAtEveryRankThatHasTheWhole) {
  const Tensors locals{at::tensor({1.F, 2.F}), at::tensor({1.F, 3.F})};
  const at::Tensor got = from_local(locals, make_local_mesh(2), Placement::replicate());
  EXPECT_THAT(difference_from_whole(got, locals[0]), Optional(HasSubstr("1 of 2 differ")));
}

TEST(DifferenceFromWhole, AllowsAPendingSumItsOrderAndNoMore) {
  const at::Tensor whole = at::tensor({100.F});
  EXPECT_EQ(
      difference_from_whole(pending_sum({at::tensor({60.F}), at::tensor({40.00001F})}), whole),
      std::nullopt);
  EXPECT_THAT(difference_from_whole(pending_sum({at::tensor({60.F}), at::tensor({42.F})}), whole),
              Optional(HasSubstr("element [0] is 102, expected 100")));
  // One of integers has no order.
  const at::Tensor integers = pending_sum({at::tensor({60}), at::tensor({41})});
  EXPECT_THAT(difference_from_whole(integers, at::tensor({100})), Optional(HasSubstr("101")));
}

// The model's own step over two ranks is silent, and a rank that is not told the same is not.
TEST(ShardDifferential, IsSilentAboutTheModelUntilARankDiffers) {
  CaseArm arm;
  arm.model = source_path("cases/models/tiny");
  arm.mesh.tp = 2;
  Subject subject = subject_of_arm(arm);
  subject.sizes = {2, 6};
  const std::vector<EagerCall> calls = eager_calls(subject.program, subject.inputs(subject.hint));
  EXPECT_GT(std::count_if(calls.begin(), calls.end(), takes_dtensor), 50);
  EXPECT_THAT(shard_differences(subject), IsEmpty());
  subject.program = [model = subject.program](const Tensors& in) {
    Tensors out = model(in);
    const at::Tensor other =
        from_local({out[0], out[0] + 1}, make_local_mesh(2), Placement::replicate());
    out[0] = full_tensor(other.neg());
    return out;
  };
  EXPECT_THAT(shard_differences(subject),
              testing::ElementsAre(HasSubstr("at 2: aten::neg on (R), result 0: ")));
}

}  // namespace
}  // namespace samebits
