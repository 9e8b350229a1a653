#include <gmock/gmock.h>

#include "tests/logs/logs.h"

namespace samebits {
namespace {

using ::testing::ElementsAre;
using testing::error_of;
using ::testing::HasSubstr;
using testing::precision_of;
using testing::value_at;

LogSettings of_format(const std::string& name) {
  return {.format = name, .pattern = "", .step = "", .only = ""};
}
LogSettings of_pattern(const std::string& text) {
  return {.format = "", .pattern = text, .step = "", .only = ""};
}

TEST(Console, ReadsTorchtitansLineInColours) {
  const Log log = testing::read(
      "[titan] INFO - Training starts at step 1\n"
      "[titan] INFO - \x1b[31mstep:  1  \x1b[32mloss:  8.16612  \x1b[38;2;180;60;0mgrad_norm:  "
      "3.6855  \x1b[34mmemory:  2.47GiB(3.12%)\x1b[0m\n"
      "[titan] INFO - step: 10  loss: -0.50000  grad_norm: 12.1000  memory: 1GiB\n",
      of_format("torchtitan"));
  EXPECT_EQ(log.stream.observations.size(), 4);
  EXPECT_EQ(value_at(log, 1, "loss"), "8.16612");
  EXPECT_EQ(value_at(log, 10, "grad_norm"), "12.1");
  EXPECT_EQ(precision_of(log, "loss"), "to 5 decimals");
  EXPECT_EQ(precision_of(log, "grad_norm"), "to 4 decimals");
}

TEST(Console, ReadsTorchtitansGoldens) {
  const Log log =
      testing::read("1 7.604050636291504\n2 7.5703\n10 nan\n", of_format("torchtitan_golden"));
  EXPECT_EQ(value_at(log, 1, "loss"), "7.604050636291504");
  EXPECT_EQ(value_at(log, 10, "loss"), "nan");
  EXPECT_EQ(precision_of(log, "loss"), "to the bit of float64");
  EXPECT_THAT(error_of("1 7.6\n2 7.5", of_format("torchtitan_golden")), HasSubstr("cut off?"));
  EXPECT_THAT(error_of("1 7.6\n1 7.5\n", of_format("torchtitan_golden")),
              HasSubstr("one value a step"));
}

TEST(Console, ReadsMegatronsLineAndSaysWhatItDrops) {
  const Log log = testing::read(
      " [2026-11-29 10:00:00] iteration        1/     100 | consumed samples:            8 | "
      "learning rate: 1.000000E-04 | lm loss: 1.085231E+01 | grad norm: 3.142 | number of skipped "
      "iterations:   0 |\n",
      of_format("megatron"));
  EXPECT_EQ(value_at(log, 1, "lm loss"), "10.85231");
  EXPECT_EQ(value_at(log, 1, "grad norm"), "3.142");
  EXPECT_EQ(precision_of(log, "lm loss"), "to at most 5 decimals and 7 digits");
  EXPECT_THAT(log.source.drops, HasSubstr("no negative loss"));
}

TEST(Console, ReadsVerlsLine) {
  const Log log = testing::read(
      "(pid=1) step:3 - actor/pg_loss:-0.0123 - actor/grad_norm:1.5e-05 - training/epoch:0\n",
      of_format("verl"));
  EXPECT_EQ(value_at(log, 3, "actor/pg_loss"), "-0.0123");
  EXPECT_EQ(value_at(log, 3, "actor/grad_norm"), "1.5e-05");
  EXPECT_EQ(value_at(log, 3, "training/epoch"), "0");
}

TEST(Console, ReadsWhatVerlPrintsOfNumPysScalars) {
  const Log log = testing::read(
      "step:3 - actor/pg_loss:np.float64(-0.0123) - val/acc:np.int64(2) - x:NaN - "
      "y:np.float32(inf)\n",
      of_format("verl"));
  EXPECT_EQ(value_at(log, 3, "actor/pg_loss"), "-0.0123");
  EXPECT_EQ(value_at(log, 3, "val/acc"), "2");
  EXPECT_EQ(value_at(log, 3, "x"), "nan");
  EXPECT_EQ(value_at(log, 3, "y"), "inf");
}

TEST(Console, TellsWhatIsNoNumberInAListOfPairs) {
  const Log verl = testing::read("step:1 - loss:0.5 - norm:tensor(1.5) - y:1\n", of_format("verl"));
  EXPECT_EQ(value_at(verl, 1, "y"), "1");
  EXPECT_THAT(verl.source.unread, ElementsAre("norm"));
  const Log megatron =
      testing::read(" iteration 1/ 10 | lm loss: 1,0E+01 | grad norm: NaN | speed: 5 TF |\n",
                    of_format("megatron"));
  EXPECT_EQ(value_at(megatron, 1, "grad norm"), "nan");
  EXPECT_THAT(megatron.source.unread, ElementsAre("lm loss", "speed"));
  EXPECT_THAT(error_of("step:1 - loss:1e999\n", of_format("verl")),
              HasSubstr("line 1: loss: found a number that no double holds"));
}

TEST(Console, ReadsAPatternsGroups) {
  const Log log =
      testing::read("it 3: 0.50 (1.25)\nnoise\nit 4: nan\n",
                    of_pattern(R"(it (?<step>\d+): (?<loss>\S+)(?: \((?<norm>[^)]+)\))?)"));
  EXPECT_EQ(log.stream.observations.size(), 3);
  EXPECT_EQ(value_at(log, 3, "norm"), "1.25");
  EXPECT_EQ(value_at(log, 4, "loss"), "nan");
}

TEST(Console, BadInputHasItsLine) {
  const LogSettings settings = of_pattern(R"(s=(?<step>\S+) l=(?<loss>\S+))");
  EXPECT_THAT(error_of("nothing\n", settings), HasSubstr("found no value"));
  EXPECT_THAT(error_of("s=1 l=0.5\ns=2 l=0,5\n", settings),
              HasSubstr("log: line 2: loss: found \"0,5\""));
  EXPECT_THAT(error_of("s=1 l=0.5\ns=x l=0.5\n", settings),
              HasSubstr("line 2: found the step \"x\""));
  EXPECT_THAT(error_of("s=1 l=0.5\ns=1 l=0.25\n", settings), HasSubstr("one value a step"));
  EXPECT_THAT(error_of("s=1 l=0.5\ns=2 l=0.2", settings), HasSubstr("line 2: found no end"));
  EXPECT_THAT(error_of("s=1 l=0.5\n", of_pattern(R"(l=(?<loss>\S+))")),
              HasSubstr("no group (?<step>"));
  EXPECT_THAT(error_of("s=1 l=0.5\n", of_pattern(R"(s=(?<step>\S+))")),
              HasSubstr("no group but step"));
  EXPECT_THAT(error_of("s=1 l=0.5\n", of_format("text")), HasSubstr("no pattern"));
}

}  // namespace
}  // namespace samebits
