#include "harness/graph/arena_allocator.h"

#include <ATen/ATen.h>
#include <c10/core/CPUAllocator.h>
#include <gtest/gtest.h>

#include <thread>

namespace samebits {
namespace {

bool is_in(const Arena& arena, const at::Tensor& x) { return arena.contains(x.const_data_ptr()); }

TEST(ArenaAllocatorTest, ServesThisThreadWhileTheGuardLives) {
  const auto arena = std::make_shared<Arena>(size_t{1} << 20);
  const at::Tensor before = at::empty({4});
  at::Tensor inside, elsewhere;
  {
    ArenaGuard guard(arena);
    guard.set_who("me");
    inside = at::empty({4});
    std::thread([&] { elsewhere = at::empty({4}); }).join();
  }
  EXPECT_FALSE(is_in(*arena, before));
  ASSERT_TRUE(is_in(*arena, inside));
  EXPECT_EQ(arena->block(arena->block_of(inside.const_data_ptr())).who, "me");
  EXPECT_FALSE(is_in(*arena, elsewhere));
  EXPECT_FALSE(is_in(*arena, at::empty({4})));
}

TEST(ArenaAllocatorTest, ATensorKeepsItsArena) {
  at::Tensor kept;
  {
    const ArenaGuard guard(std::make_shared<Arena>(size_t{1} << 20));
    kept = at::ones({4});
  }
  EXPECT_TRUE(at::equal(kept, at::ones({4})));
}

TEST(ArenaAllocatorTest, GuardsNest) {
  const auto outer = std::make_shared<Arena>(size_t{1} << 20);
  const auto inner = std::make_shared<Arena>(size_t{1} << 20);
  const ArenaGuard first(outer);
  {
    const ArenaGuard second(inner);
    EXPECT_TRUE(is_in(*inner, at::empty({4})));
  }
  EXPECT_TRUE(is_in(*outer, at::empty({4})));
}

TEST(ArenaAllocatorTest, AllocationsAreCounted) {
  const ArenaGuard guard(std::make_shared<Arena>(size_t{1} << 20));
  const int64_t before = tensor_allocations();
  const at::Tensor x = at::empty({4});
  const at::Tensor view = x.view({2, 2});
  EXPECT_EQ(tensor_allocations(), before + 1);
}

// oneDNN, behind LibTorch's own matrix product, takes its scratch memory by raw pointers.
TEST(ArenaAllocatorTest, RawPointersAreLibTorchs) {
  const auto arena = std::make_shared<Arena>(size_t{1} << 20);
  { const ArenaGuard installed(arena); }
  c10::Allocator& allocator = *c10::GetCPUAllocator();
  void* data = allocator.raw_allocate(64);
  EXPECT_FALSE(arena->contains(data));
  allocator.raw_deallocate(data);
  const at::Tensor x = at::ones({64, 64}, at::kBFloat16);
  EXPECT_TRUE(at::equal(at::linear(x, x), at::full({64, 64}, 64, at::kBFloat16)));
  const ArenaGuard guard(arena);
  EXPECT_THROW(allocator.raw_allocate(64), c10::Error);
}

}  // namespace
}  // namespace samebits
