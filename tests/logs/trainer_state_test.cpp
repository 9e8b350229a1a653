#include <gmock/gmock.h>

#include "tests/logs/logs.h"

namespace samebits {
namespace {

using testing::error_of;
using ::testing::HasSubstr;
using testing::value_at;

const LogSettings kFormat = {.format = "trainer_state", .pattern = "", .step = "", .only = ""};

TEST(TrainerState, EveryEntryOfTheHistoryIsARow) {
  const Log log = testing::read(R"({"global_step": 2, "epoch": 1.0, "log_history": [
    {"epoch": 0.5, "loss": 10.870447158813477, "step": 1},
    {"epoch": 1.0, "loss": NaN, "step": 2},
    {"epoch": 1.0, "train_loss": 10.5, "step": 2}], "max_steps": 2})",
                                kFormat);
  EXPECT_EQ(log.stream.observations.size(), 5);
  EXPECT_EQ(value_at(log, 1, "loss"), "10.870447158813477");
  EXPECT_EQ(value_at(log, 2, "loss"), "nan");
  EXPECT_EQ(value_at(log, 2, "train_loss"), "10.5");
}

TEST(TrainerState, BadInputHasItsEntry) {
  EXPECT_THAT(error_of(R"({"log_history": []})", kFormat), HasSubstr("found no value"));
  EXPECT_THAT(error_of(R"({"log_history": [3]})", kFormat), HasSubstr("expected objects"));
  EXPECT_THAT(error_of(R"({"log_history": [{"step": 1, "a": 1}, {"a": 2}]})", kFormat),
              HasSubstr("log_history, entry 1: found no step"));
  EXPECT_THAT(error_of(R"({"log_history": [{"step": 1, "a": 1}, {"step": 1, "a": 2}]})", kFormat),
              HasSubstr("one value a step"));
  EXPECT_THAT(error_of(R"({"log_history": [{"step": 1, "a")", kFormat), HasSubstr("the end"));
}

}  // namespace
}  // namespace samebits
