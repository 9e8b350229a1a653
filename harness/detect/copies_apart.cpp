// copies_apart: what every rank of a mesh is to hold, between the ranks.

#include <c10/util/Exception.h>
#include <fmt/format.h>

#include <set>
#include <utility>

#include "harness/base/text.h"
#include "harness/capture/ir/graph.h"
#include "harness/detect/eager_calls.h"
#include "harness/detect/findings.h"
#include "harness/detect/handed_on.h"
#include "harness/dispatch/dispatch_mode.h"
#include "harness/dispatch/schema.h"
#include "harness/dtensor/copies.h"
#include "harness/dtensor/propagate.h"

namespace samebits {
namespace {

using Tensors = std::vector<at::Tensor>;

// "ranks 1 and 3 differ from rank 0"; "" where all copies are one, or there are none.
std::string difference_of_copies(const at::Tensor& tensor) {
  const std::vector<int64_t> apart = ranks_apart(tensor);
  if (apart.empty()) return "";
  return ranks_text(apart) + (apart.size() == 1 ? " differs" : " differ") + " from rank 0";
}

// Looks at what each operator is given and what it leaves, and tells of each once. Memory that is
// not filled yet has no copies, and what owns none, and lies neither in the program's inputs nor in
// what an operator was given, must not be read.
class CopyWatch final : public DispatchMode {
 public:
  CopyWatch(std::string how, const Tensors& inputs, std::set<std::string>& told)
      : how_(std::move(how)), inputs_(inputs), told_(told) {}

  void call(const c10::OperatorHandle& op, torch::jit::Stack* stack) override {
    const c10::FunctionSchema& schema = op.schema();
    const auto first = stack->end() - static_cast<int64_t>(schema.arguments().size());
    const std::vector<c10::IValue> args(first, stack->end());
    const std::string name = ir::op_name(op);
    const std::string call =
        fmt::format("{} on ({})", name, text_of(placements_of(args).placements));
    std::vector<c10::IValue> read;
    for (size_t i = 0; i < args.size(); ++i) {
      if (!is_written(schema.arguments()[i])) read.push_back(args[i]);
    }
    look_at(tensors_in(read), inputs_, call + ", argument");
    op.callBoxed(stack);
    if (name.find("empty") != std::string::npos) return;
    const Tensors results = tensors_in(
        c10::ArrayRef<c10::IValue>(*stack).slice(stack->size() - schema.returns().size()));
    Tensors owners = tensors_in(args);
    std::erase_if(owners, [&](const at::Tensor& each) { return is_dangling(each, inputs_); });
    look_at(results, owners, call + ", result");
  }
  void look_at_results(const Tensors& results) { look_at(results, inputs_, "result"); }

  Findings take() { return std::move(found_); }

 private:
  void look_at(const Tensors& tensors, const Tensors& owners, const std::string& what) {
    for (size_t i = 0; i < tensors.size(); ++i) {
      if (is_dangling(tensors[i], owners)) continue;
      const std::string difference = difference_of_copies(tensors[i]);
      if (difference.empty()) continue;
      const std::string place = fmt::format("{} {}", what, i);
      if (told_.insert(place).second) {
        found_.push_back(fmt::format("{}: {}: {}", how_, place, difference));
      }
    }
  }

  std::string how_;
  const Tensors& inputs_;
  std::set<std::string>& told_;
  Findings found_;
};

// Runs the program until it returns or throws, which is for others to tell.
Findings differences(const Program& program, const Tensors& inputs, const std::string& how,
                     ModeLevel level, std::set<std::string>& told) {
  CopyWatch watch(how, inputs, told);
  try {
    Tensors results;
    {
      const DispatchModeGuard on(watch, level);
      results = program(inputs);
    }
    watch.look_at_results(results);
  } catch (const c10::Error&) {  // NOLINT(bugprone-empty-catch)
    // What there was until then has been looked at.
  }
  return watch.take();
}

}  // namespace

Findings copies_apart(const Subject& subject) {
  Findings found;
  std::set<std::string> told;
  const auto run = [&](const Program& program, int64_t size, const std::string& how,
                       ModeLevel level) {
    const Findings more = differences(program, subject.inputs(size), how, level, told);
    found.insert(found.end(), more.begin(), more.end());
  };
  for (const int64_t size : subject.sizes) {
    if (!runs_eagerly(subject, size)) continue;
    run(subject.program, size, fmt::format("at {}", size), ModeLevel::kAboveAutograd);
  }
  if (subject.gradients) {
    run(subject.gradients, subject.hint, fmt::format("gradients at {}", subject.hint),
        ModeLevel::kBelowAutograd);
  }
  return found;
}

}  // namespace samebits
