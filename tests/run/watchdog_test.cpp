#include "harness/run/watchdog.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>

#include <chrono>
#include <thread>

namespace samebits {
namespace {

using ::testing::ExitedWithCode;
using ::testing::HasSubstr;

TEST(Watchdog, EndsAHangWithExitCode3AndSaysWhereItStood) {
  EXPECT_EXIT(
      {
        Activity activity;
        activity.enter("arm eager, step 3, train");
        const Watchdog watchdog(0.2, activity);
        at::ones({4}).cumsum(0);
        std::this_thread::sleep_for(std::chrono::seconds(60));
      },
      ExitedWithCode(3),
      "samebits: arm eager, step 3, train, last operator aten::cumsum.*: still running after "
      "timeout_s, 0.2 s");
}

TEST(Watchdog, WhatEndsInTimeIsLeftAlone) {
  Activity activity;
  { const Watchdog watchdog(0.05, activity); }
  std::this_thread::sleep_for(std::chrono::milliseconds(150));
}

// Beyond what a clock counts to, a limit would have passed already.
TEST(Watchdog, ALimitOfCenturiesIsOne) {
  Activity activity;
  const Watchdog watchdog(1e10, activity);
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
}

TEST(Watchdog, FollowsOperatorsOnlyWhileItLives) {
  Activity activity;
  activity.enter("here");
  {
    const Watchdog watchdog(60, activity);
    at::ones({4}).logcumsumexp(0);
    EXPECT_THAT(activity.text(), HasSubstr("here, last operator aten::"));
    EXPECT_THAT(activity.text(), HasSubstr("logcumsumexp"));
  }
  at::ones({4}).cumsum(0);
  EXPECT_THAT(activity.text(), HasSubstr("logcumsumexp"));
}

}  // namespace
}  // namespace samebits
