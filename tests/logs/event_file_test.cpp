#include "harness/logs/event_file.h"

#include <gtest/gtest.h>

#include "tests/logs/event_file.h"

namespace samebits {
namespace {

// The other side is written field by field, as TensorFlow's SummaryWriter does.
TEST(EventFile, ARecordHasTheBytesOfSummaryWriters) {
  EXPECT_EQ(scalar_record("loss", 300, 7.5f, 1.7e9), testing::scalar_event(300, "loss", 7.5f));
  EXPECT_NE(scalar_record("loss", 300, 7.5f, 1.7e9), testing::scalar_event(301, "loss", 7.5f));
}

TEST(EventFile, BeginsWithItsVersion) {
  const std::string wall_time = testing::varint(1 << 3 | 1) + testing::fixed(0.0);
  EXPECT_EQ(version_record(), testing::record(wall_time + testing::field(3, "brain.Event:2")));
}

}  // namespace
}  // namespace samebits
