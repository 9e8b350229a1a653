#include "harness/graph/arena.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "harness/base/error.h"

namespace samebits {
namespace {

using ::testing::HasSubstr;

template <typename T>
T first(const void* data) {
  T value;
  std::memcpy(&value, data, sizeof(T));
  return value;
}

TEST(ArenaTest, PoisonIsNanAndNoIndex) {
  Arena arena(1 << 20);
  const void* data = arena.allocate(64, "a");
  EXPECT_TRUE(std::isnan(first<float>(data)));
  EXPECT_TRUE(std::isnan(first<double>(data)));
  EXPECT_GT(first<int32_t>(data), 1 << 30);
  EXPECT_GT(first<int64_t>(data), int64_t{1} << 60);
}

TEST(ArenaTest, AFreedBlockGoesToTheNextAllocationThatItFits) {
  Arena arena(1 << 20);
  void* a = arena.allocate(100, "a");
  void* b = arena.allocate(100, "b");
  EXPECT_NE(a, b);
  arena.free(a);
  EXPECT_NE(arena.allocate(101, "larger"), a);
  EXPECT_NE(arena.allocate(12, "less than an eighth"), a);
  EXPECT_EQ(arena.allocate(60, "c"), a);
  EXPECT_EQ(arena.block(arena.block_of(a)).who, "c");
}

TEST(ArenaTest, ARedzoneSeesTheByteBeforeAndTheByteAfter) {
  Arena arena(1 << 20);
  char* data = static_cast<char*>(arena.allocate(99, "op"));
  const size_t block = arena.block_of(data);
  std::memset(data, 0, 99);
  EXPECT_EQ(arena.redzone_damage(block), "");
  data[99] = 0;
  EXPECT_THAT(arena.redzone_damage(block), HasSubstr("after the 99 bytes that op allocated"));
  char* other = static_cast<char*>(arena.allocate(8, "op"));
  other[-1] = 0;
  EXPECT_THAT(arena.redzone_damage(arena.block_of(other)), HasSubstr("before"));
}

TEST(ArenaTest, AWriteOfTheHostIsSeenWhenTheBlockIsFreedAndWhileItIsNot) {
  Arena arena(1 << 20);
  arena.free(arena.allocate(32, "untouched"));
  char* kept = static_cast<char*>(arena.allocate(32, "kept"));
  EXPECT_EQ(arena.take_host_writes({arena.block_of(kept)}), "");
  kept[31] = 0;
  EXPECT_EQ(arena.take_host_writes({arena.block_of(kept)}), "kept");
  EXPECT_EQ(arena.take_host_writes({}), "");
  arena.free(kept);
  EXPECT_EQ(arena.take_host_writes({}), "kept");
}

TEST(ArenaTest, AFullArenaIsRefusedInOneLine) {
  Arena arena(4096);
  try {
    arena.allocate(5000, "samebits::linear");
    FAIL();
  } catch (const RunError& error) {
    EXPECT_THAT(error.what(), HasSubstr("5000 bytes for samebits::linear do not fit"));
  }
}

}  // namespace
}  // namespace samebits
