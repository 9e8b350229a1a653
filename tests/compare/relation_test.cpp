#include "harness/compare/relation.h"

#include <gmock/gmock.h>

#include <bit>
#include <cmath>
#include <limits>

#include "harness/base/error.h"
#include "harness/bits/safetensors.h"
#include "tests/support/scratch.h"

namespace samebits {
namespace {

using ::testing::HasSubstr;
using testing::message_of;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

Observation of(float value) { return observe_float32(0, "train", 0, "loss", value); }
Observation of_bits(uint32_t bits) { return of(std::bit_cast<float>(bits)); }

TEST(BitExact, TellsEveryBitApart) {
  EXPECT_EQ(bit_exact(of(1), of(1)), Agreement::kHolds);
  EXPECT_EQ(bit_exact(of(1), of(std::nextafter(1.0f, 2.0f))), Agreement::kFails);
  EXPECT_EQ(bit_exact(of(0.0f), of(-0.0f)), Agreement::kFails);
  EXPECT_EQ(bit_exact(of_bits(0x7fc00000), of_bits(0x7fc00000)), Agreement::kHolds);
  EXPECT_EQ(bit_exact(of_bits(0x7fc00000), of_bits(0x7fc00001)), Agreement::kFails);
}

TEST(BitExact, TellsDtypeAndShapeApart) {
  const float data[2] = {1, 2};
  const auto tensor = [&](Dtype dtype, std::vector<int64_t> shape) {
    return observe_tensor(0, "p", 0, "s", dtype, std::move(shape), data);
  };
  EXPECT_EQ(bit_exact(tensor(Dtype::float32, {2}), tensor(Dtype::float32, {2})), Agreement::kHolds);
  EXPECT_EQ(bit_exact(tensor(Dtype::float32, {2}), tensor(Dtype::float32, {2, 1})),
            Agreement::kFails);
  EXPECT_EQ(bit_exact(tensor(Dtype::float32, {2}), tensor(Dtype::int32, {2})), Agreement::kFails);
}

TEST(WithinUlp, BoundItselfHoldsAndOneBeyondFails) {
  const Observation one = of_bits(0x3f800000);
  const Observation five_more = of_bits(0x3f800005);
  EXPECT_EQ(within_ulp(one, five_more, 5), Agreement::kHolds);
  EXPECT_EQ(within_ulp(one, five_more, 4), Agreement::kFails);
  EXPECT_EQ(within_ulp(one, one, 0), Agreement::kHolds);
}

TEST(WithinUlp, ZerosAreOneNumberAndNansAreNone) {
  EXPECT_EQ(within_ulp(of(0.0f), of(-0.0f), 0), Agreement::kHolds);
  EXPECT_EQ(within_ulp(of_bits(0x7fc00000), of_bits(0x7fc00001), ~uint64_t{0}), Agreement::kFails);
  EXPECT_EQ(within_ulp(of(NAN), of(1), ~uint64_t{0}), Agreement::kFails);
  EXPECT_EQ(within_ulp(of(kInfinity), of(kInfinity), 0), Agreement::kHolds);
}

// A tensor of float32 whose elements were kept.
struct Kept {
  std::vector<float> values;
  TensorView view{
      "", Dtype::float32, {static_cast<int64_t>(values.size())}, std::as_bytes(std::span(values))};
  Observation seen(bool is_kept = true) const {
    Observation each = observe_tensor(0, "p", 0, "s", Dtype::float32, view.shape, values.data());
    if (is_kept) each.kept.tensor = &view;
    return each;
  }
};

TEST(KeptElements, AreJudgedEachByTheBound) {
  const float next = std::nextafter(2.0f, 3.0f);
  const Kept a{{1, 2, 3}};
  const Kept b{{1, next, 3}};
  EXPECT_EQ(within_ulp(a.seen(), b.seen(), 1), Agreement::kHolds);
  EXPECT_EQ(within_ulp(a.seen(), b.seen(), 0), Agreement::kFails);
  EXPECT_EQ(allclose(a.seen(), b.seen(), 1e-6, 0), Agreement::kHolds);
  EXPECT_EQ(allclose(a.seen(), b.seen(), 1e-8, 0), Agreement::kFails);
  EXPECT_EQ(bit_exact(a.seen(), b.seen()), Agreement::kFails);
  const Kept far{{1, 2, 3.5f}};  // the last one alone
  EXPECT_EQ(allclose(a.seen(), far.seen(), 0, 0.5), Agreement::kHolds);
  EXPECT_EQ(allclose(a.seen(), far.seen(), 0, 0.49), Agreement::kFails);
}

TEST(KeptElements, OfOneSideAloneJudgeNothing) {
  const Kept a{{1, 2, 3}};
  const Kept b{{1, 2, 4}};
  EXPECT_EQ(within_ulp(a.seen(), b.seen(false), ~uint64_t{0}), Agreement::kUnknown);
  EXPECT_EQ(within_ulp(a.seen(false), b.seen(), ~uint64_t{0}), Agreement::kUnknown);
}

TEST(KeptElements, NansAreNoNumbers) {
  const Kept a{{1, NAN}};
  const Kept b{{1, 2}};
  EXPECT_EQ(within_ulp(a.seen(), b.seen(), ~uint64_t{0}), Agreement::kFails);
  EXPECT_EQ(allclose(a.seen(), a.seen(), 1, 1), Agreement::kFails);
  const Kept longer{{1, 2, 3}};
  EXPECT_EQ(within_ulp(b.seen(), longer.seen(), ~uint64_t{0}), Agreement::kFails);
}

TEST(WithinUlp, DigestsOfTensorsHaveNoDistanceAndIntegersMustBeEqual) {
  const float a[2] = {1, 2};
  const float b[2] = {1, 3};
  const auto tensor = [](const float* data) {
    return observe_tensor(0, "p", 0, "s", Dtype::float32, {2}, data);
  };
  EXPECT_EQ(within_ulp(tensor(a), tensor(a), 0), Agreement::kHolds);
  EXPECT_EQ(within_ulp(tensor(a), tensor(b), 100), Agreement::kUnknown);
  EXPECT_EQ(within_ulp(observe_int64(0, "p", 0, "s", 4), observe_int64(0, "p", 0, "s", 5), 100),
            Agreement::kFails);
}

TEST(Allclose, BoundItselfHoldsAndOneBeyondFails) {
  EXPECT_EQ(allclose(of(1.5f), of(1.0f), 0.25, 0.25), Agreement::kHolds);
  EXPECT_EQ(allclose(of(std::nextafter(1.5f, 2.0f)), of(1.0f), 0.25, 0.25), Agreement::kFails);
  // rtol scales with the second: 0.5 against 1.0 is inside, 1.0 against 0.5 is not.
  EXPECT_EQ(allclose(of(0.5f), of(1.0f), 0.5, 0), Agreement::kHolds);
  EXPECT_EQ(allclose(of(1.0f), of(0.5f), 0.5, 0), Agreement::kFails);
}

TEST(Allclose, InfinitiesAreCloseToThemselvesAndNansToNothing) {
  EXPECT_EQ(allclose(of(kInfinity), of(kInfinity), 0, 0), Agreement::kHolds);
  EXPECT_EQ(allclose(of(kInfinity), of(-kInfinity), 1, 1), Agreement::kFails);
  EXPECT_EQ(allclose(of(1), of(kInfinity), 1, 1), Agreement::kFails);
  EXPECT_EQ(allclose(of(NAN), of(NAN), 1, 1), Agreement::kFails);
}

TEST(RelationFromText, ReadsEveryForm) {
  EXPECT_EQ(relation_from_text("bit_exact").holds, Holds::kBitExact);
  EXPECT_EQ(relation_from_text("must_diverge").holds, Holds::kMustDiverge);
  EXPECT_EQ(relation_from_text("ulp:4").max_ulp, 4);
  const Relation close = relation_from_text("allclose:1e-5,1e-8");
  EXPECT_EQ(close.rtol, 1e-5);
  EXPECT_EQ(close.atol, 1e-8);
}

TEST(RelationFromText, BoundsHaveNoDefault) {
  for (const char* text : {"ulp", "ulp:", "ulp:x", "ulp:-1", "ulp:0.5", "allclose", "allclose:1",
                           "allclose:1,", "bit_exact:1", "equal", ""}) {
    EXPECT_THAT(message_of<InputError>([&] { relation_from_text(text); }), HasSubstr("--relation"))
        << text;
  }
}

}  // namespace
}  // namespace samebits
