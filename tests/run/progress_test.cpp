#include "harness/run/progress.h"

#include <gtest/gtest.h>

namespace samebits {
namespace {

std::string printed(bool is_terminal) {
  ::testing::internal::CaptureStdout();
  Progress progress(is_terminal);
  progress.show("eager: step 1 of 2");
  progress.show("eager: step 2 of 2");
  progress.clear();
  return ::testing::internal::GetCapturedStdout();
}

TEST(Progress, IsALineEachInAFile) {
  EXPECT_EQ(printed(false), "eager: step 1 of 2\neager: step 2 of 2\n");
}

TEST(Progress, IsOneLineThatIsRewrittenAndClearedOnATerminal) {
  EXPECT_EQ(printed(true), "\reager: step 1 of 2\033[K\reager: step 2 of 2\033[K\r\033[K\r");
}

}  // namespace
}  // namespace samebits
