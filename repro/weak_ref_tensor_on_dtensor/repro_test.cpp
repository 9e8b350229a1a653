#include "repro/weak_ref_tensor_on_dtensor/repro.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "harness/detect/findings.h"
#include "harness/detect/handed_on.h"
#include "harness/detect/pooled_graphs.h"
#include "harness/dtensor/dtensor.h"
#include "repro/mechanisms/weak_ref.h"
#include "repro/weak_ref_op_unregistered/repro.h"

namespace samebits {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

template <typename F>
std::string error_of(F f) {
  try {
    f();
  } catch (const c10::Error& error) {
    return error.what_without_backtrace();
  }
  return "";
}

// Three patches, each missing in its turn.
struct Missing {
  const char* overload;
  testing::Matcher<std::string> when_traced;
  testing::Matcher<std::string> when_called;
};

class WeakRefPatchTest : public testing::TestWithParam<Missing> {};

TEST_P(WeakRefPatchTest, FailsAtItsTimeInItsWords) {
  const Subject subject = weak_ref_subject(GetParam().overload, /*on_mesh=*/true);
  const auto inputs = subject.inputs(6);
  ShapeEnv env;
  EXPECT_THAT(error_of([&] { trace(subject.program, inputs, subject.dims, env); }),
              GetParam().when_traced);
  EXPECT_THAT(error_of([&] { subject.program(inputs); }), GetParam().when_called);
}

INSTANTIATE_TEST_SUITE_P(Patches, WeakRefPatchTest,
                         testing::Values(Missing{"no_shape_rule", HasSubstr("no shape rule"),
                                                 HasSubstr("no shape rule")},
                                         Missing{"no_strategy", HasSubstr("no sharding strategy"),
                                                 HasSubstr("no sharding strategy")},
                                         // Where no kernel runs, nothing shows.
                                         Missing{"no_guard", IsEmpty(),
                                                 HasSubstr("is null and belongs to no storage")},
                                         Missing{"", IsEmpty(), IsEmpty()}),
                         [](const auto& info) {
                           const std::string overload = info.param.overload;
                           return overload.empty() ? "all_there" : overload;
                         });

TEST(WeakRefOnDTensor, AnEmptyTensorIsTheEasyTrigger) {
  const at::Tensor empty = at::empty({0, 1024});
  EXPECT_THAT(error_of([&] { weak_ref(empty, "no_guard"); }),
              HasSubstr("of sizes [0, 1024] is null"));
  EXPECT_EQ(weak_ref(empty).sizes(), empty.sizes());
}

// Unwrapping alone: the second rank has no row at size 1.
TEST(WeakRefOnDTensor, AnEmptyShardFailsWhereOnlyTheWrapperIsGuarded) {
  const Outcome unguarded = run_subject(weak_ref_subject("no_empty", /*on_mesh=*/true));
  EXPECT_THAT(unguarded.evidence, HasSubstr("served at 1: weak_ref: the pointer of a tensor of "
                                            "sizes [0, 1024] is null"));
  EXPECT_FALSE(run_subject(weak_ref_subject("", /*on_mesh=*/true)).went_wrong);
}

TEST(WeakRefOnDTensor, TheGuardKeepsPlacementAndMemory) {
  const auto mesh = make_local_mesh(2);
  const at::Tensor x = distribute_tensor(at::ones({5, 4}), mesh, Placement::shard(0));
  const at::Tensor ref = weak_ref(x);
  ASSERT_TRUE(is_dtensor(ref));
  EXPECT_EQ(spec_of(ref).mesh, mesh);
  EXPECT_EQ(spec_of(ref).placement(), Placement::shard(0));
  for (size_t rank = 0; rank < 2; ++rank) {
    EXPECT_EQ(locals_of(ref)[rank].const_data_ptr(), locals_of(x)[rank].const_data_ptr());
  }
  EXPECT_FALSE(is_dtensor(weak_ref(x, "unwrap_only")));
}

// torchtitan#2393's strategy: right for what is sharded or replicated, a reference to memory that
// is gone for what is pending.
TEST(WeakRefOnDTensor, ThePointwiseStrategyRefersToATemporary) {
  const auto handed_out = [](const char* overload, Placement placement) {
    return run_handed_on(reference_handed_out(overload, placement));
  };
  EXPECT_FALSE(handed_out("pointwise", Placement::shard(0)).went_wrong);
  EXPECT_THAT(handed_out("pointwise", Placement::partial()).evidence,
              HasSubstr("R over 2, Float comes out, which owns no memory"));
  const Outcome same_placement = handed_out("", Placement::partial());
  EXPECT_FALSE(same_placement.went_wrong) << same_placement.evidence;
  EXPECT_THAT(boundary_changes(reference_handed_out("pointwise", Placement::partial())),
              Contains("samebits_repro::weak_ref.pointwise: a DTensor, R over 2, Float comes out, "
                       "which owns no memory and lies in no argument's"));
  // Nobody reads there.
  EXPECT_THAT(shard_differences(reference_handed_out("pointwise", Placement::partial())),
              IsEmpty());
}

// Its shape rule and schema: a fresh tensor, so no write to the argument concerns it.
TEST(WeakRefOnDTensor, APassThatTrustsAFreshTensorKeepsAnOldValue) {
  EXPECT_TRUE(run_with_equal_calls_merged(read_around_a_write("undeclared_alias")).went_wrong);
  const Outcome untouched = run_subject(read_around_a_write("undeclared_alias"));
  EXPECT_FALSE(untouched.went_wrong) << untouched.evidence;
  const Outcome declared = run_with_equal_calls_merged(read_around_a_write(""));
  EXPECT_FALSE(declared.went_wrong) << declared.evidence;
}

// torchtitan#2486's guard: the first rank's memory, as a plain tensor, or nothing of an empty
// shard.
TEST(WeakRefOnDTensor, TheMergedGuardLosesMeshAndPlacement) {
  EXPECT_THAT(run_handed_on(reference_handed_out("unwrap_only", Placement::shard(0))).evidence,
              HasSubstr("a plain tensor, Float comes out"));
  const Outcome wrapped_again = run_handed_on(reference_handed_out("", Placement::shard(0)));
  EXPECT_FALSE(wrapped_again.went_wrong) << wrapped_again.evidence;
}

// "Does it work without weak references?" It does, and every bucket keeps an output of its own.
TEST(StrongReferences, GiveTheBitsOfEagerForTheMemoryOfEveryBucket) {
  const Subject strong = buckets_of_units(HeldOutputs::kOwned);
  const Subject weak = buckets_of_units(HeldOutputs::kByAddress);
  EXPECT_FALSE(run_pooled(strong).went_wrong);
  EXPECT_TRUE(run_pooled(weak).went_wrong);  // read after other buckets: weak_ref_shared_pool_reuse
  const auto bytes = [](const Subject& subject) {
    return PooledGraphs(subject, subject.sizes).bytes_used();
  };
  constexpr size_t kUnitBytes = 1024 * sizeof(float);
  constexpr size_t kRedzones = 1024;  // more than those of three blocks
  const size_t more = bytes(strong) - bytes(weak);
  EXPECT_GE(more, (3 + 2 + 1) * kUnitBytes);
  EXPECT_LT(more, (3 + 2 + 1) * kUnitBytes + kRedzones);
}

TEST(BoundaryLedger, SeesAPlacementThatWasLost) {
  EXPECT_THAT(boundary_changes(weak_ref_subject("unwrap_only", /*on_mesh=*/true)),
              Contains("samebits_repro::weak_ref.unwrap_only: a DTensor, S(0) over 2, Float goes "
                       "in, a plain tensor, Float comes out"));
}

TEST(BoundaryLedger, ProbesWhatTheProgramDoesNotShow) {
  // On plain tensors with rows every overload does what it should.
  EXPECT_FALSE(run_subject(weak_ref_subject("no_empty", /*on_mesh=*/false)).went_wrong);
  EXPECT_THAT(boundary_changes(weak_ref_subject("no_empty", /*on_mesh=*/false)),
              ElementsAre(HasSubstr("on an empty tensor: "),
                          HasSubstr("on a DTensor with an empty shard: ")));
  EXPECT_THAT(boundary_changes(weak_ref_subject("no_guard", /*on_mesh=*/false)),
              Contains(HasSubstr("on a DTensor, R: ")));
}

TEST(BoundaryLedger, IsSilentAboutTheGuardedOne) {
  for (const bool on_mesh : {false, true}) {
    EXPECT_THAT(boundary_changes(weak_ref_subject("", on_mesh)), IsEmpty());
  }
}

}  // namespace
}  // namespace samebits
