#include "harness/run/line_channel.h"

#include <gtest/gtest.h>

#include <thread>

namespace samebits {
namespace {

using std::chrono::milliseconds;

struct Ends {
  LineChannel here;
  LineChannel there;
};

Ends connected() {
  const Listener listener;
  LineChannel there = connect_to("127.0.0.1", listener.port(), milliseconds(10'000));
  return {listener.accept(), std::move(there)};
}

TEST(LineChannel, GivesLinesInTheirOrder) {
  Ends ends = connected();
  ends.there.send("one");
  ends.there.send("");
  ends.there.send("three");
  EXPECT_EQ(ends.here.next_line(), "one");
  EXPECT_EQ(ends.here.next_line(), "");
  EXPECT_EQ(ends.here.next_line(milliseconds(10'000)), "three");
}

TEST(LineChannel, ALimitEndsTheWaitForOneThatSaysNothing) {
  Ends ends = connected();
  EXPECT_EQ(ends.here.next_line(milliseconds(20)), std::nullopt);
  std::thread later([&] {
    std::this_thread::sleep_for(milliseconds(50));
    ends.there.send("here I am");
  });
  EXPECT_EQ(ends.here.next_line(milliseconds(60'000)), "here I am");
  later.join();
}

TEST(LineChannel, AnEndThatIsGoneIsNoLine) {
  Ends ends = connected();
  ends.there.close();
  EXPECT_EQ(ends.here.next_line(), std::nullopt);
}

}  // namespace
}  // namespace samebits
