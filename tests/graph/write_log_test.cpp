#include "harness/graph/write_log.h"

#include <gtest/gtest.h>

namespace samebits {
namespace {

TEST(WriteLogTest, KnowsTheLastWriteOfEachAddress) {
  const int memory[2] = {};
  WriteLog log;
  EXPECT_EQ(log.last(&memory[0]).who, "");
  EXPECT_EQ(log.last(&memory[0]).epoch, 0);
  log.wrote(&memory[0], "first");
  log.wrote(&memory[1], "second");
  log.wrote(&memory[0], "third");
  EXPECT_EQ(log.last(&memory[0]).who, "third");
  EXPECT_EQ(log.last(&memory[0]).epoch, log.epoch());
  EXPECT_EQ(log.last(&memory[1]).who, "second");
  EXPECT_LT(log.last(&memory[1]).epoch, log.epoch());
}

}  // namespace
}  // namespace samebits
