#include "harness/run/watchdog.h"

#include <ATen/record_function.h>
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <string_view>

#include "harness/base/output.h"

namespace samebits {
namespace {

constexpr int kRunBroke = 3;

// The name lives as long as the operator's schema, which is as long as the process. What records
// itself by a text of its own, as c10d's collectives do, has a name that is gone after it.
std::atomic<const char*> last_operator = nullptr;

bool is_operator(std::string_view name) {
  return name.starts_with("aten::") || name.starts_with("samebits::");
}

// How many operators are under way on this thread: those that an operator calls are not noted.
thread_local int depth = 0;

std::unique_ptr<at::ObserverContext> begin_operator(const at::RecordFunction& function) {
  if (depth++ == 0 && is_operator(function.name())) {
    last_operator.store(function.name(), std::memory_order_relaxed);
  }
  return nullptr;
}

void end_operator(const at::RecordFunction&, at::ObserverContext*) {
  depth = std::max(depth - 1, 0);
}

}  // namespace

void Activity::enter(std::string place) {
  const std::lock_guard lock(mutex_);
  place_ = std::move(place);
}

std::string Activity::text() const {
  const std::lock_guard lock(mutex_);
  const char* name = last_operator.load(std::memory_order_relaxed);
  return name == nullptr ? place_ : place_ + ", last operator " + name;
}

OperatorFollower::OperatorFollower()
    : callback_(at::addGlobalCallback(at::RecordFunctionCallback(begin_operator, end_operator)
                                          .scopes({at::RecordScope::FUNCTION}))) {
  last_operator = nullptr;  // that of an arm before
}

OperatorFollower::~OperatorFollower() { at::removeCallback(callback_); }

Watchdog::Watchdog(double seconds, const Activity& activity)
    : activity_(activity), thread_([this, seconds] { watch(seconds); }) {}

Watchdog::~Watchdog() {
  {
    const std::lock_guard lock(mutex_);
    is_ended_ = true;
  }
  ended_.notify_all();
  thread_.join();
}

void Watchdog::watch(double seconds) {
  std::unique_lock lock(mutex_);
  constexpr double kYears = 1e9;  // a clock's ticks overflow soon above
  const auto limit = std::chrono::duration<double>(std::min(seconds, kYears));
  if (ended_.wait_for(lock, limit, [this] { return is_ended_; })) return;
  complain(fmt::format("{}: still running after timeout_s, {:g} s; its stream is kept",
                       activity_.text(), seconds));
  std::_Exit(kRunBroke);
}

}  // namespace samebits
