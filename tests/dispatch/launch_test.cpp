#include "harness/dispatch/launch.h"

#include <gtest/gtest.h>

#include <stdexcept>
#include <thread>
#include <vector>

namespace samebits {
namespace {

class List : public LaunchSink {
 public:
  void add(const char* name, std::function<void()> body) override {
    names.emplace_back(name);
    bodies.push_back(std::move(body));
  }
  std::vector<std::string> names;
  std::vector<std::function<void()>> bodies;
};

TEST(LaunchTest, RunsAtOnceWhereNobodyCaptures) {
  int value = 0;
  launch("set", [to = &value] { *to = 1; });
  EXPECT_EQ(value, 1);
  EXPECT_THROW(launch("fail", [] { throw std::runtime_error("in the body"); }), std::runtime_error);
}

TEST(LaunchTest, IsRecordedAndNotRunOnAThreadThatCaptures) {
  int value = 0;
  List list;
  {
    const LaunchCaptureGuard capture(list);
    EXPECT_EQ(launch_sink(), &list);
    launch("increment", [to = &value] { ++*to; });
    std::thread([&] { launch("elsewhere", [to = &value] { *to += 10; }); }).join();
  }
  EXPECT_EQ(launch_sink(), nullptr);
  EXPECT_EQ(value, 10);
  ASSERT_EQ(list.names, std::vector<std::string>{"increment"});
  list.bodies[0]();
  list.bodies[0]();
  EXPECT_EQ(value, 12);
}

TEST(LaunchTest, CapturesDoNotNest) {
  List list;
  const LaunchCaptureGuard capture(list);
  EXPECT_THROW(LaunchCaptureGuard inner(list), std::logic_error);
}

}  // namespace
}  // namespace samebits
