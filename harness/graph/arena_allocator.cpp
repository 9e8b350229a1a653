#include "harness/graph/arena_allocator.h"

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>

#include <cstring>
#include <utility>

#include "harness/dispatch/library_work.h"

namespace samebits {
namespace {

struct ThreadState {
  std::shared_ptr<Arena> arena;
  std::string who;
  int64_t allocations = 0;
};
thread_local ThreadState tls_state;

// What a tensor's memory in an arena holds on to.
struct Lease {
  std::shared_ptr<Arena> arena;
  void* data;
};

void release(void* context) {
  const std::unique_ptr<Lease> lease(static_cast<Lease*>(context));
  lease->arena->free(lease->data);
}

class ArenaAllocator final : public c10::Allocator {
 public:
  explicit ArenaAllocator(c10::Allocator& underlying) : underlying_(underlying) {}

  c10::DataPtr allocate(size_t bytes) override {
    ThreadState& state = tls_state;
    if (LibraryWorkGuard::is_active()) return underlying_.allocate(bytes);
    ++state.allocations;
    if (!state.arena || bytes == 0) return underlying_.allocate(bytes);
    void* data = state.arena->allocate(bytes, state.who);
    return {data, new Lease{state.arena, data}, &release, c10::Device(c10::DeviceType::CPU)};
  }

  // Of what raw_allocate() gave: never of the arena, whose blocks it refuses for their context.
  c10::DeleterFnPtr raw_deleter() const override { return underlying_.raw_deleter(); }

  void copy_data(void* to, const void* from, std::size_t bytes) const override {
    std::memcpy(to, from, bytes);
  }

 private:
  c10::Allocator& underlying_;
};

// Once in a process: LibTorch keeps one allocator for all threads, and memory of the old one is
// freed by its own deleter.
void install() {
  static const bool installed = [] {
    // Never freed, as LibTorch's own: tensors may outlive every static object.
    c10::SetCPUAllocator(new ArenaAllocator(*c10::GetCPUAllocator()), /*priority=*/1);
    return true;
  }();
  (void)installed;
}

}  // namespace

ArenaGuard::ArenaGuard(std::shared_ptr<Arena> arena)
    : previous_arena_(std::move(tls_state.arena)), previous_who_(std::move(tls_state.who)) {
  install();
  tls_state.arena = std::move(arena);
}

ArenaGuard::~ArenaGuard() {
  tls_state.arena = std::move(previous_arena_);
  tls_state.who = std::move(previous_who_);
}

void ArenaGuard::set_who(const std::string& who) { tls_state.who = who; }

int64_t tensor_allocations() { return tls_state.allocations; }

}  // namespace samebits
