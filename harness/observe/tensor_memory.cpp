#include "harness/observe/tensor_memory.h"

#include <algorithm>
#include <unordered_map>

namespace samebits {

// The allocator's own total is the process's; ours begins at nothing, and does not go below where
// tensors of before are freed.
class TensorMemory::Counter : public c10::MemoryReportingInfoBase {
 public:
  void reportMemoryUsage(void* at, int64_t bytes, size_t, size_t, c10::Device device) override {
    if (!device.is_cpu()) return;
    if (bytes > 0 && is_apart_) apart_[at] = bytes;
    const bool is_apart = bytes > 0 ? is_apart_ : apart_.erase(at) > 0;
    Amount& amount = is_apart ? of_apart_ : of_others_;
    amount.held = std::max<int64_t>(amount.held + bytes, 0);
    amount.peak = std::max(amount.peak, amount.held);
  }
  bool memoryProfilingEnabled() const override { return true; }

  struct Amount {
    int64_t held = 0;
    int64_t peak = 0;
    void reset_peak() { peak = held; }
  };
  Amount of_others_;
  Amount of_apart_;
  bool is_apart_ = false;

 private:
  std::unordered_map<void*, int64_t> apart_;  // bytes of each allocation; only ever looked up
};

TensorMemory::TensorMemory() : counter_(std::make_shared<Counter>()) {}

std::unique_ptr<c10::DebugInfoGuard> TensorMemory::count() {
  return std::make_unique<c10::DebugInfoGuard>(c10::DebugInfoKind::PROFILER_STATE, counter_);
}

int64_t TensorMemory::peak() const { return counter_->of_others_.peak; }

void TensorMemory::reset_peak() { counter_->of_others_.reset_peak(); }

void TensorMemory::count_apart(bool is_apart) {
  if (is_apart) counter_->of_apart_.reset_peak();
  counter_->is_apart_ = is_apart;
}

int64_t TensorMemory::peak_apart() const { return counter_->of_apart_.peak; }

}  // namespace samebits
