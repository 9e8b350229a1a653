#include "harness/observe/tensor_memory.h"

#include <algorithm>

namespace samebits {

// The allocator's own total is the process's; ours begins at nothing, and does not go below where
// tensors of before are freed.
class TensorMemory::Counter : public c10::MemoryReportingInfoBase {
 public:
  void reportMemoryUsage(void*, int64_t bytes, size_t, size_t, c10::Device device) override {
    if (!device.is_cpu()) return;
    held_ = std::max<int64_t>(held_ + bytes, 0);
    peak_ = std::max(peak_, held_);
  }
  bool memoryProfilingEnabled() const override { return true; }

  int64_t peak() const { return peak_; }
  void reset_peak() { peak_ = held_; }

 private:
  int64_t held_ = 0;
  int64_t peak_ = 0;
};

TensorMemory::TensorMemory() : counter_(std::make_shared<Counter>()) {}

std::unique_ptr<c10::DebugInfoGuard> TensorMemory::count() {
  return std::make_unique<c10::DebugInfoGuard>(c10::DebugInfoKind::PROFILER_STATE, counter_);
}

int64_t TensorMemory::peak() const { return counter_->peak(); }

void TensorMemory::reset_peak() { counter_->reset_peak(); }

}  // namespace samebits
