#include "repro/pad_slot_minus_one/repro.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "harness/detect/findings.h"
#include "harness/detect/model_subject.h"
#include "tests/support/source_path.h"

namespace samebits {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

// What the last slot holds after two rows and two of padding; neither row is mapped there.
at::Tensor last_slot_after(SlotWrite write) {
  const Subject subject = rows_in_slots(write);
  subject.program(subject.padding->inputs(2, 4, PaddingContent::kHostile));
  return subject.padding->memory[0][79];
}

TEST(PadSlot, MinusOneIsTheLastSlotToAnIndexAndNoneToTheKernel) {
  EXPECT_TRUE(last_slot_after(SlotWrite::kByIndex).isnan().all().item<bool>());
  EXPECT_TRUE(last_slot_after(SlotWrite::kSkipNegative).eq(0).all().item<bool>());
}

// Up to two rows nobody reads the last slot, so only the slot itself shows it.
TEST(PadSlot, ShowsInTheResultOnlyOnceTheLastSlotIsMapped) {
  Subject subject = rows_in_slots(SlotWrite::kByIndex);
  subject.sizes = {1, 2};
  EXPECT_FALSE(run_padded(subject).went_wrong);
  EXPECT_THAT(
      padding_that_leaks(subject),
      ElementsAre("1 padded to 2: slot 79 of memory 0 was written, to which no row is mapped",
                  "1 padded to 2: slot 79 of memory 1 was written, to which no row is mapped"));
  subject.sizes = {3, 4};
  EXPECT_THAT(padding_that_leaks(subject),
              ElementsAre("3 padded to 4: with hostile padding, output 0 has other bits than zero "
                          "padding's"));
}

TEST(PadSlot, WithoutPaddingThereIsNothingToFind) {
  const Outcome outcome = run_subject(rows_in_slots(SlotWrite::kSkipNegative));
  EXPECT_FALSE(outcome.went_wrong) << outcome.evidence;
}

class PaddedModelTest : public testing::Test {
 protected:
  static Subject subject(int64_t tp) {
    ArmSettings arm;
    arm.model = source_path("cases/models/tiny");
    arm.mesh.tp = tp;
    return subject_of_arm(arm);
  }
};

TEST_F(PaddedModelTest, LeavesUnmappedPagesAlone) {
  for (const int64_t tp : {1, 2}) EXPECT_THAT(padding_that_leaks(subject(tp)), IsEmpty());
}

// The control: padding that a careless engine gives a slot.
TEST_F(PaddedModelTest, IsFoundWhereItIsGivenASlot) {
  Subject careless = subject(1);
  const Padding padding = *careless.padding;
  careless.padding->inputs = [padding](int64_t size, int64_t bucket, PaddingContent content) {
    std::vector<at::Tensor> in = padding.inputs(size, bucket, content);
    in[padding.slots] = at::where(in[padding.slots] < 0, 0, in[padding.slots]);
    return in;
  };
  const auto found = padding_that_leaks(careless);
  EXPECT_THAT(found, Contains(HasSubstr("1 padded to 64: with hostile padding, output 0")));
}

}  // namespace
}  // namespace samebits
