#include <gmock/gmock.h>

#include "tests/logs/logs.h"

namespace samebits {
namespace {

using ::testing::ElementsAre;
using testing::error_of;
using ::testing::HasSubstr;
using testing::value_at;

Log csv_of(const std::string& text, LogSettings settings = {}) {
  settings.format = "csv";
  return testing::read(text, settings);
}
std::string csv_error(const std::string& text, LogSettings settings = {}) {
  settings.format = "csv";
  return error_of(text, settings);
}

TEST(Csv, EveryColumnIsASite) {
  const Log log = csv_of(
      "epoch,\"train,loss\",step,note\r\n"
      "0,0.7419829368591309,0,\"a \"\"b\"\"\"\r\n"
      "0,,1,\r\n"
      "0,nan,2,c\r\n");
  EXPECT_EQ(log.stream.observations.size(), 5);
  EXPECT_EQ(value_at(log, 0, "train,loss"), "0.7419829368591309");
  EXPECT_EQ(value_at(log, 1, "train,loss"), "");
  EXPECT_EQ(value_at(log, 2, "train,loss"), "nan");
  EXPECT_THAT(log.source.unread, ElementsAre("note"));
}

TEST(Csv, TabsAndAnIndexWithoutANameAreTaken) {
  const Log log = csv_of("\tstep\tloss\n0\t5\t0.5\n1\t6\t0.25\n");
  EXPECT_EQ(log.stream.observations.size(), 2);
  EXPECT_EQ(value_at(log, 6, "loss"), "0.25");
}

TEST(Csv, RowsOfTrainingAndEvaluationShareAStep) {
  const Log log = csv_of("epoch,loss,step,val_loss\n0,0.5,9,\n0,,9,0.75\n");
  EXPECT_EQ(value_at(log, 9, "loss"), "0.5");
  EXPECT_EQ(value_at(log, 9, "val_loss"), "0.75");
  EXPECT_THAT(csv_error("epoch,loss,step\n0,0.5,9\n1,,9\n"), HasSubstr("line 3: epoch: found 1"));
}

TEST(Csv, NumbersMayStandAmongSpaces) {
  const Log log = csv_of("step,loss, norm,note\n 1 , 0.5, 2.5 , a\n");
  EXPECT_EQ(value_at(log, 1, "loss"), "0.5");
  EXPECT_EQ(value_at(log, 1, " norm"), "2.5");
  EXPECT_THAT(log.source.unread, ElementsAre("note"));
}

TEST(Csv, ANumberThatNoDoubleHoldsIsNoText) {
  for (const char* number : {"9007199254740993", "-1e400", "1e-400"}) {
    const std::string text = std::string("step,loss,id\n1,0.5,") + number + "\n";
    EXPECT_THAT(csv_error(text), HasSubstr("line 2: id: found a number that no double holds"));
    EXPECT_EQ(csv_error(text, {.format = "", .pattern = "", .step = "", .only = "loss"}), "");
  }
}

TEST(Csv, BadInputHasItsLine) {
  EXPECT_THAT(csv_error(""), HasSubstr("an empty file"));
  EXPECT_THAT(csv_error("step,loss\n"), HasSubstr("found no value"));
  EXPECT_THAT(csv_error("loss,time\n1,2\n"),
              HasSubstr("line 1: found no step among loss, time, expected step, global_step, "
                        "iteration or --step NAME"));
  EXPECT_THAT(csv_error("step,loss,loss\n1,2,3\n"), HasSubstr("two columns \"loss\""));
  EXPECT_THAT(csv_error("step,loss\n1,0.5\n2\n"), HasSubstr("line 3: found 1 cells"));
  EXPECT_THAT(csv_error("step,loss\n1,0.5\n2,0.4"), HasSubstr("line 3: found 2 cells and no end"));
  EXPECT_THAT(csv_error("step,loss\n1,0.5\n,0.4\n"), HasSubstr("line 3: found the step \"\""));
  EXPECT_THAT(csv_error("step,loss\n1,0.5\n1,0.4\n"), HasSubstr("one value a step"));
  EXPECT_THAT(csv_error("step,loss\n2,0.5\n1,0.4\n"), HasSubstr("steps that go on"));
  EXPECT_THAT(csv_error("step,loss\n1,0.5\n2,tensor(1.)\n"),
              HasSubstr("line 3: loss: found values of"));
  EXPECT_THAT(csv_error("step,loss\n1,\"0.5\n"), HasSubstr("a quote without its end"));
  EXPECT_THAT(csv_error("step,lo\x01ss\n1,2\n"), HasSubstr("a name that can be printed"));
}

}  // namespace
}  // namespace samebits
