#include "harness/observe/tensor_memory.h"

#include <algorithm>
#include <unordered_set>

namespace samebits {

// The allocator's own total is the process's; ours begins at nothing, and does not go below where
// tensors of before are freed.
class TensorMemory::Counter : public c10::MemoryReportingInfoBase {
 public:
  void reportMemoryUsage(void* at, int64_t bytes, size_t, size_t, c10::Device device) override {
    if (!device.is_cpu()) return;
    // Of a block that was given back while nobody counted, the address may come again.
    const bool was_apart = blocks_apart_.erase(at) > 0;
    if (bytes > 0 && counts_apart) blocks_apart_.insert(at);
    const bool is_apart = bytes > 0 ? counts_apart : was_apart;
    Amount& amount = is_apart ? apart : others;
    amount.held = std::max<int64_t>(amount.held + bytes, 0);
    amount.peak = std::max(amount.peak, amount.held);
  }
  bool memoryProfilingEnabled() const override { return true; }

  struct Amount {
    int64_t held = 0;
    int64_t peak = 0;
    void reset_peak() { peak = held; }
  };
  Amount others;
  Amount apart;
  bool counts_apart = false;

 private:
  std::unordered_set<void*> blocks_apart_;  // allocations; only ever looked up
};

TensorMemory::TensorMemory() : counter_(std::make_shared<Counter>()) {}

std::unique_ptr<c10::DebugInfoGuard> TensorMemory::count() {
  return std::make_unique<c10::DebugInfoGuard>(c10::DebugInfoKind::PROFILER_STATE, counter_);
}

int64_t TensorMemory::peak() const { return counter_->others.peak; }

void TensorMemory::reset_peak() { counter_->others.reset_peak(); }

void TensorMemory::count_apart(bool is_apart) {
  if (is_apart) counter_->apart.reset_peak();
  counter_->counts_apart = is_apart;
}

int64_t TensorMemory::peak_apart() const { return counter_->apart.peak; }

}  // namespace samebits
