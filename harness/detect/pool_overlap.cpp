// pool_overlap: graphs of several sizes in one pool, replayed in more than one order.

#include <c10/core/GradMode.h>
#include <c10/util/Exception.h>
#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <optional>

#include "harness/detect/compare_outputs.h"
#include "harness/detect/findings.h"
#include "harness/detect/pooled_graphs.h"
#include "harness/dtensor/dtensor.h"

namespace samebits {
namespace {

using Tensors = std::vector<at::Tensor>;
using Memory = PooledGraphs::Memory;

class PoolCheck {
 public:
  // The largest first, as engines capture: what it lets go holds any later one.
  explicit PoolCheck(const Subject& subject)
      : is_read_later_(subject.outputs != HeldOutputs::kUntilCopied), sizes_(subject.sizes) {
    std::sort(sizes_.begin(), sizes_.end(), std::greater<>());
    for (const int64_t size : sizes_) inputs_.push_back(subject.inputs(size));
    graphs_.emplace(subject, sizes_);
  }

  Findings run() {
    if (is_read_later_) find_overlaps();
    std::vector<size_t> order(sizes_.size());
    for (size_t i = 0; i < order.size(); ++i) order[i] = i;
    replay(order, "from the largest to the smallest");
    std::reverse(order.begin(), order.end());
    replay(order, "from the smallest to the largest");
    return std::move(found_);
  }

 private:
  void find_overlaps() {
    for (size_t earlier = 0; earlier < sizes_.size(); ++earlier) {
      for (const Memory& output : graphs_->outputs(earlier)) {
        for (size_t later = earlier + 1; later < sizes_.size(); ++later) {
          find_overlap(output, graphs_->results(later));
        }
      }
    }
  }

  // The first is enough.
  void find_overlap(const Memory& output, const std::vector<Memory>& results) {
    for (const Memory& result : results) {
      if (output.begin >= result.end || result.begin >= output.end) continue;
      found_.push_back(
          fmt::format("{} is read later, and lies in the memory of {}", output.who, result.who));
      return;
    }
  }

  void replay(const std::vector<size_t>& order, const char* order_text) {
    std::vector<Tensors> copies(sizes_.size());
    for (const size_t i : order) {
      const auto error = error_of([&] {
        graphs_->replay(i, inputs_[i]);
        copies[i] = graphs_->read(i);
      });
      if (error) return;  // of a graph by itself: stale_address
      if (!is_read_later_) graphs_->let_go(i);
    }
    for (const size_t i : order) {
      std::optional<std::string> what;
      if (is_read_later_) {
        Tensors now;
        what = error_of([&] { now = graphs_->read(i); });
        if (!what) what = difference(now, copies[i], "its own replay");
      }
      if (!what && !first_.empty()) what = difference(copies[i], first_[i], "the other order");
      if (what)
        found_.push_back(fmt::format("replayed {}, at {}: {}", order_text, sizes_[i], *what));
    }
    first_ = std::move(copies);
  }

  bool is_read_later_;
  std::vector<int64_t> sizes_;
  std::vector<Tensors> inputs_;
  std::optional<PooledGraphs> graphs_;
  std::vector<Tensors> first_;  // by the order before
  Findings found_;
};

}  // namespace

Findings overlapping_outputs(const Subject& subject) {
  const c10::NoGradGuard no_grad;
  const Tensors inputs = subject.inputs(subject.hint);
  // A graph's static inputs are plain.
  if (std::any_of(inputs.begin(), inputs.end(), is_dtensor)) return {};
  try {
    return PoolCheck(subject).run();
  } catch (const c10::Error&) {
    return {};  // may not be captured: uncapturable
  }
}

}  // namespace samebits
