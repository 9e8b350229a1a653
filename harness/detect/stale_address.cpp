// stale_address: what a graph holds by address, or as a number, before each of its replays, while
// the program also runs eagerly at other sizes.

#include <c10/core/GradMode.h>
#include <c10/util/Exception.h>
#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <set>
#include <sstream>
#include <utility>

#include "harness/base/error.h"
#include "harness/detect/compare_outputs.h"
#include "harness/detect/eager_calls.h"
#include "harness/detect/findings.h"
#include "harness/dtensor/dtensor.h"

namespace samebits {
namespace {

// Memory that a program takes and that it neither made nor was given: a weight, a cache, a table.
struct Outside {
  std::string what;
  const void* data;
};

class OutsideMemory {
 public:
  explicit OutsideMemory(const std::vector<at::Tensor>& inputs) { add_own(inputs); }

  void look_at(const EagerCall& call) {
    for (const at::Tensor& value : tensors_in(call.args)) {
      for (const at::Tensor& part : parts_of(value)) look_at(part, call.name);
    }
    add_own(call.results);
  }

  std::vector<Outside> take() { return std::move(found_); }

 private:
  void look_at(const at::Tensor& part, const std::string& who) {
    // A number among tensors is made by the call.
    if (part.numel() == 0 || part.unsafeGetTensorImpl()->is_wrapped_number()) return;
    if (own_.count(part.storage().data()) != 0) return;
    std::ostringstream what;
    what << "the " << part.scalar_type() << ' ' << part.sizes() << " that " << who << " takes";
    found_.push_back({what.str(), part.const_data_ptr()});
  }

  void add_own(const std::vector<at::Tensor>& values) {
    for (const at::Tensor& value : values) {
      for (const at::Tensor& part : parts_of(value)) own_.insert(part.storage().data());
    }
  }

  std::set<const void*> own_;
  std::vector<Outside> found_;
};

std::vector<Outside> outside_memory(const Subject& subject, const std::vector<at::Tensor>& inputs) {
  OutsideMemory memory(inputs);
  const std::vector<EagerCall> calls = eager_calls(subject.program, inputs);
  for (const EagerCall& call : calls) memory.look_at(call);
  return memory.take();
}

// What the program takes elsewhere than it did.
std::optional<std::string> moved(const std::vector<Outside>& before,
                                 const std::vector<Outside>& now) {
  for (size_t i = 0; i < std::min(before.size(), now.size()); ++i) {
    if (now[i].data != before[i].data) return now[i].what + " is elsewhere than at capture";
  }
  return std::nullopt;
}

}  // namespace

Findings moved_addresses(const Subject& subject) {
  const c10::NoGradGuard no_grad;
  const std::vector<at::Tensor> inputs = subject.inputs(subject.hint);
  // A graph's static inputs are plain.
  if (std::any_of(inputs.begin(), inputs.end(), is_dtensor)) return {};
  ReplayAtHint replay;
  try {
    replay = captured_at_hint(subject);
  } catch (const c10::Error&) {
    return {};  // may not be captured: uncapturable
  }
  const std::vector<Outside> at_capture = outside_memory(subject, inputs);
  for (const int64_t size : subject.sizes) {
    if (!runs_eagerly(subject, size)) continue;
    const std::vector<at::Tensor> sized = subject.inputs(size);
    const bool is_served = size != subject.hint && same_kinds(sized, inputs);
    const std::vector<at::Tensor>& served = is_served ? sized : inputs;
    std::optional<std::string> found;
    try {
      const std::vector<at::Tensor> got = replay(served);
      found = moved(at_capture, outside_memory(subject, served));
      // A number that the host knew at capture is held as an address is.
      if (!found && is_served) found = difference(got, subject.program(served));
    } catch (const RunError& error) {
      found = error.what();
    }
    if (found) {
      return {fmt::format("captured at {}, replayed {} {}: {}", subject.hint,
                          is_served ? "at" : "after a call at", size, *found)};
    }
  }
  return {};
}

}  // namespace samebits
