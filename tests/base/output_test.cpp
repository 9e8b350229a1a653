#include "harness/base/output.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <functional>
#include <string>

#include "harness/base/error.h"
#include "tests/base/message_of.h"

namespace samebits {
namespace {

std::string printed(const std::function<void()>& print) {
  ::testing::internal::CaptureStdout();
  print();
  return ::testing::internal::GetCapturedStdout();
}

TEST(Output, TextsStayWithinTheirLine) {
  EXPECT_EQ(printed([] { say("{}: {} of {}\n", "a\nb\x1b[2J", 1, std::string("c")); }),
            "a\\nb\\u001b[2J: 1 of c\n");
  EXPECT_EQ(printed([] { print_text("one\ntwo\x9b\n"); }), "one\ntwo\\x9b\n");
  EXPECT_LT(printed([] { say("{}\n", std::string(1'000'000, 'x')); }).size(), 5000u);
}

TEST(Output, ALineIsRewrittenWithoutAnythingElse) {
  EXPECT_EQ(printed([] { rewrite_line("step 1\x1b[31m\n"); }), "\rstep 1\\u001b[31m\\n\x1b[K");
  EXPECT_EQ(printed([] { rewrite_line(""); }), "\r\x1b[K\r");
}

TEST(Output, AComplaintIsOneLineWithAnEnd) {
  ::testing::internal::CaptureStderr();
  complain("a\nb\x1b" + std::string(1'000'000, 'x') + " expected y");
  const std::string line = ::testing::internal::GetCapturedStderr();
  EXPECT_THAT(line, ::testing::StartsWith("samebits: a\\nb\\u001bxxx"));
  EXPECT_THAT(line, ::testing::EndsWith("expected y\n"));
  EXPECT_LE(line.size(), kLongestMessage + 11);
}

TEST(Output, WhatIsLostIsToldOnceAtTheEnd) {
  finish_output();
  EXPECT_EXIT(
      {
        const int full = open("/dev/full", O_WRONLY);
        dup2(full, STDOUT_FILENO);
        say("lost\n");
        say("lost too\n");
        const std::string message = message_of<RunError>([] { finish_output(); });
        complain(message);
        _exit(3);
      },
      ::testing::ExitedWithCode(3), "samebits: stdout: cannot be written: No space left on device");
}

}  // namespace
}  // namespace samebits
