#include <gmock/gmock.h>

#include "harness/dtensor/propagate.h"
#include "harness/kernels/functional.h"
#include "harness/kernels/shape_rule.h"
#include "tests/dtensor/support.h"
#include "torch/library.h"

namespace samebits {
namespace {

using namespace testing_support;
using testing::AllOf;
using testing::HasSubstr;

const auto kReplicate = Placement::replicate();

// A deliberately wrong rule: it says that a whole-row reversal keeps its shards.
at::Tensor reversed(const at::Tensor& x) { return x.flip(0); }
OpSharding wrong(const OpCall& call) { return {call.placements, call.placements, {}}; }
OpSharding gathered(const OpCall&) { return {{kReplicate}, {kReplicate}, {}}; }
std::vector<TensorMeta> same_shape(c10::ArrayRef<c10::IValue> args) {
  return {{args[0].toTensor().sym_sizes().vec(), args[0].toTensor().scalar_type()}};
}
// And one whose local sizes cannot be those of its placement.
OpSharding misshapen(const OpCall&) { return {{kReplicate}, {Placement::shard(0)}, {}}; }

TORCH_LIBRARY(samebits_test, m) {
  for (const char* schema : {"wrong(Tensor x) -> Tensor", "gathered(Tensor x) -> Tensor",
                             "misshapen(Tensor x) -> Tensor", "nobody(Tensor x) -> Tensor"}) {
    m.def(schema, torch::dispatch(c10::DispatchKey::CompositeExplicitAutograd, reversed));
  }
}
SAMEBITS_STRATEGY("samebits_test::wrong", wrong);
SAMEBITS_STRATEGY("samebits_test::gathered", gathered);
SAMEBITS_STRATEGY("samebits_test::misshapen", misshapen);
SAMEBITS_SHAPE_RULE("samebits_test::wrong", same_shape);
SAMEBITS_SHAPE_RULE("samebits_test::gathered", same_shape);
SAMEBITS_SHAPE_RULE("samebits_test::misshapen", same_shape);

at::Tensor call(const char* op, const at::Tensor& x) {
  return c10::Dispatcher::singleton()
      .findSchemaOrThrow(op, "")
      .typed<at::Tensor(const at::Tensor&)>()
      .call(x);
}

class HandlerTest : public testing::Test {
 protected:
  const c10::intrusive_ptr<DeviceMesh> mesh_ = make_local_mesh(3);
  const at::Tensor whole_ = at::arange(10, at::kFloat).view({5, 2});
  const at::Tensor sharded_ = distribute_tensor(whole_, mesh_, Placement::shard(0));
};

TEST_F(HandlerTest, TheComparisonSeesAWrongStrategy) {
  EXPECT_TRUE(same_value(call("samebits_test::gathered", sharded_), whole_.flip(0)));
  EXPECT_FALSE(same_value(call("samebits_test::wrong", sharded_), whole_.flip(0)));
  EXPECT_THAT(error_of([&] { call("samebits_test::misshapen", sharded_); }),
              HasSubstr("rank 0 has sizes [5, 2], expected [2, 2]"));
}

TEST_F(HandlerTest, NamesTheOperatorWithoutAStrategy) {
  EXPECT_THAT(error_of([&] { call("samebits_test::nobody", sharded_); }),
              AllOf(HasSubstr("samebits_test::nobody has no sharding strategy"),
                    HasSubstr("harness/dtensor/strategies/"), HasSubstr("(S(0))")));
  EXPECT_THAT(error_of([&] { at::cumsum(sharded_, 0); }), HasSubstr("aten::cumsum"));
  EXPECT_FALSE(has_strategy("aten::cumsum"));
  EXPECT_TRUE(has_strategy("aten::add.Tensor"));
}

TEST_F(HandlerTest, RefusesRandomOperators) {
  EXPECT_THAT(error_of([&] { sharded_.clone().uniform_(); }), HasSubstr("is random"));
  EXPECT_THAT(error_of([&] { at::bernoulli(sharded_); }), HasSubstr("is random"));
}

TEST_F(HandlerTest, PlainTensorsCountAsReplicate) {
  const at::Tensor plain = whole_numbers({5, 2});
  EXPECT_TRUE(same_value(sharded_ + plain, whole_ + plain));
  EXPECT_TRUE(same_value(plain * sharded_, plain * whole_));
  EXPECT_EQ(spec_of(plain * sharded_).placement(), Placement::shard(0));
  EXPECT_TRUE(same_value(sharded_ * 2.5, whole_ * 2.5));
}

TEST_F(HandlerTest, WritesInPlaceAndReturnsTheSameTensor) {
  const at::Tensor x = sharded_.clone();
  const at::Tensor& result = x.add_(distribute_tensor(whole_, mesh_, Placement::shard(1)));
  EXPECT_TRUE(result.is_same(x));
  EXPECT_TRUE(same_value(x, whole_ * 2));
  EXPECT_TRUE(same_value(sharded_, whole_)) << "the clone shares data";
  EXPECT_EQ(spec_of(x).placement(), Placement::shard(0));
  x.zero_();
  EXPECT_TRUE(same_value(x, whole_ * 0));
}

TEST_F(HandlerTest, TheWrittenArgumentLeads) {
  const at::Tensor pending = laid_out(whole_, mesh_, Placement::partial());
  EXPECT_THAT(error_of([&] { pending.clone().add_(sharded_); }), HasSubstr("pending sum"));
  at::Tensor plain = whole_.clone();
  EXPECT_THAT(error_of([&] { plain.add_(sharded_); }), HasSubstr("writes a plain tensor"));
  EXPECT_TRUE(same_bits(plain, whole_));
}

TEST_F(HandlerTest, RefusesTwoMeshes) {
  const at::Tensor other = distribute_tensor(whole_, make_local_mesh(3), Placement::shard(0));
  EXPECT_THAT(error_of([&] { sharded_ + other; }), HasSubstr("two meshes"));
}

TEST_F(HandlerTest, ListsNumbersAndNothing) {
  const std::vector<at::Tensor> parts = sharded_.split(1, 1);
  ASSERT_EQ(parts.size(), 2u);
  EXPECT_TRUE(same_value(parts[1], whole_.narrow(1, 1, 1)));
  EXPECT_TRUE(same_value(at::cat({sharded_, whole_}, 1), at::cat({whole_, whole_}, 1)));
  EXPECT_EQ(sharded_.sum().item<float>(), 45.0f);
  EXPECT_TRUE(at::equal(sharded_, sharded_.clone()));
  EXPECT_FALSE(at::equal(sharded_, sharded_ * 2));
  ops::mark(sharded_, "here");
}

TEST_F(HandlerTest, PropagatesWithoutRunning) {
  const at::Tensor x =
      make_abstract_dtensor({mesh_, Placement::shard(0)}, whole_.sym_sizes(), at::kFloat, at::kCPU);
  EXPECT_TRUE(locals_of(x).empty());
  const std::vector<c10::IValue> args{x, x, 1};
  const auto op = c10::Dispatcher::singleton().findSchemaOrThrow("aten::add", "Tensor");
  const MeshSharding sharding = propagate(op.schema(), args, placements_of(args));
  EXPECT_EQ(sharding.outputs(), 1u);
  EXPECT_EQ(sharding.output(0), Placement::shard(0));
}

TEST_F(HandlerTest, ALocalThatIsNotContiguousIsSeen) {
  const at::Tensor turned = distribute_tensor(whole_, mesh_, kReplicate).t();
  EXPECT_FALSE(turned.is_contiguous());
  const at::Tensor straight = turned.contiguous();
  EXPECT_TRUE(straight.is_contiguous());
  EXPECT_TRUE(same_value(straight, whole_.t()));
  EXPECT_TRUE(locals_of(straight)[0].is_contiguous());
  EXPECT_TRUE(same_value(turned.reshape({10}), whole_.t().reshape({10})));
}

}  // namespace
}  // namespace samebits
