// shard_difference: every operator that meets a DTensor, against the same operator on the gathered
// arguments.

#include <c10/core/GradMode.h>
#include <c10/util/Exception.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "harness/capture/ir/graph.h"
#include "harness/detect/eager_calls.h"
#include "harness/detect/findings.h"
#include "harness/detect/handed_on.h"
#include "harness/detect/sharded.h"
#include "harness/dispatch/dispatch_mode.h"
#include "harness/dispatch/schema.h"
#include "harness/dtensor/dtensor.h"
#include "harness/dtensor/propagate.h"

namespace samebits {
namespace {

using Tensors = std::vector<at::Tensor>;
using IValues = std::vector<c10::IValue>;

// What an operator gives: its results, and the arguments that it writes.
Tensors given_by(const c10::FunctionSchema& schema, const IValues& args,
                 const torch::jit::Stack& stack) {
  Tensors given =
      tensors_in(c10::ArrayRef<c10::IValue>(stack).slice(stack.size() - schema.returns().size()));
  for (size_t i = 0; i < args.size(); ++i) {
    if (!is_written(schema.arguments()[i])) continue;
    for (const at::Tensor& written : tensors_in({args[i]})) given.push_back(written);
  }
  return given;
}

bool is_contiguous(const at::Tensor& tensor) { return tensor.is_contiguous(); }

// Where a rank holds the whole, its strides are the whole's. A dimension of one has none to speak
// of.
std::optional<std::string> stride_difference(const at::Tensor& got, const at::Tensor& whole) {
  if (!is_dtensor(got) || !spec_of(got).placements.is_replicate()) return std::nullopt;
  if (whole.numel() == 0) return std::nullopt;
  for (const at::Tensor& local : locals_of(got)) {
    for (int64_t d = 0; d < whole.dim(); ++d) {
      if (whole.size(d) == 1 || local.stride(d) == whole.stride(d)) continue;
      return fmt::format("stride ({}), expected ({})", fmt::join(local.strides(), ", "),
                         fmt::join(whole.strides(), ", "));
    }
  }
  return std::nullopt;
}

class ShardDifferential final : public DispatchMode {
 public:
  // `how`: the program is run. A call is told of once, the first time that it differs.
  ShardDifferential(std::string how, std::set<std::string>& told)
      : how_(std::move(how)), told_(told) {}

  void call(const c10::OperatorHandle& op, torch::jit::Stack* stack) override {
    const c10::FunctionSchema& schema = op.schema();
    const IValues args(stack->end() - static_cast<int64_t>(schema.arguments().size()),
                       stack->end());
    const std::string name = ir::op_name(op);
    if (!can_be_asked(name, args)) return op.callBoxed(stack);
    const std::string placements = text_of(placements_of(args).placements);
    const IValues wholes = wholes_of(args);
    const bool contiguous = all_contiguous(args);
    op.callBoxed(stack);
    const std::optional<Tensors> expected = on_wholes(op, name, wholes);
    if (!expected) return;
    const Tensors got = given_by(schema, args, *stack);
    for (size_t i = 0; i < std::min(got.size(), expected->size()); ++i) {
      if (is_dangling(got[i], tensors_in(args)))
        continue;  // boundary_change's to report, and not to be read
      std::optional<std::string> found = difference_from_whole(got[i], (*expected)[i]);
      if (!found && contiguous) found = stride_difference(got[i], (*expected)[i]);
      if (found) tell(name, placements, i, *found);
    }
  }

  Findings take() { return std::move(found_); }

 private:
  // Of memory that is not filled there is nothing to compare.
  static bool can_be_asked(const std::string& name, const IValues& args) {
    const bool converts = is_conversion(name) && name != "samebits::redistribute";
    return !converts && name.find("empty") == std::string::npos && placements_of(args).mesh;
  }

  static bool all_contiguous(const IValues& args) {
    const Tensors tensors = tensors_in(args);
    return std::all_of(tensors.begin(), tensors.end(), is_contiguous);
  }

  // A plain tensor among them is not written: the handler refuses that beside DTensors.
  static IValues wholes_of(const IValues& args) {
    IValues wholes;
    for (const c10::IValue& arg : args) wholes.push_back(whole_of(arg));
    return wholes;
  }

  // Nothing: it refuses them.
  static std::optional<Tensors> on_wholes(const c10::OperatorHandle& op, const std::string& name,
                                          const IValues& wholes) {
    if (name == "samebits::redistribute") return Tensors{wholes[0].toTensor()};
    torch::jit::Stack stack = wholes;
    try {
      op.callBoxed(&stack);
    } catch (const c10::Error&) {
      return std::nullopt;
    }
    return given_by(op.schema(), wholes, stack);
  }

  void tell(const std::string& name, const std::string& placements, size_t result,
            const std::string& what) {
    const std::string call = fmt::format("{} on ({}), result {}", name, placements, result);
    if (told_.insert(call).second) found_.push_back(fmt::format("{}: {}: {}", how_, call, what));
  }

  std::string how_;
  std::set<std::string>& told_;
  Findings found_;
};

// Runs the program until it returns or refuses.
Findings differences(const Program& program, const Tensors& inputs, const std::string& how,
                     std::set<std::string>& told) {
  ShardDifferential differential(how, told);
  try {
    const DispatchModeGuard on(differential);
    program(inputs);
  } catch (const c10::Error&) {  // NOLINT(bugprone-empty-catch)
    // A placement or size that it does not take. What it did until then was compared.
  }
  return differential.take();
}

std::vector<Placement> other_placements(const at::Tensor& input) {
  std::vector<Placement> all{Placement::replicate()};
  for (int64_t dim = 0; dim < input.dim(); ++dim) all.push_back(Placement::shard(dim));
  all.erase(std::remove(all.begin(), all.end(), spec_of(input).placement()), all.end());
  return all;
}

// Nothing: there are none of that size.
std::optional<Tensors> inputs_of(const Subject& subject, int64_t size) {
  const bool is_allowed = std::all_of(subject.dims.begin(), subject.dims.end(),
                                      [&](const DynamicDim& dim) { return size >= dim.at_least; });
  if (!is_allowed) return std::nullopt;
  try {
    return subject.inputs(size);
  } catch (const c10::Error&) {
    return std::nullopt;
  }
}

}  // namespace

Findings shard_differences(const Subject& subject) {
  const c10::NoGradGuard no_grad;
  Findings found;
  std::set<std::string> told;
  const auto run = [&](const Tensors& inputs, const std::string& how) {
    const Findings more = differences(subject.program, inputs, how, told);
    found.insert(found.end(), more.begin(), more.end());
  };
  std::vector<int64_t> sizes = subject.sizes;
  // Around which sharding goes wrong, where the program says from which size on it runs.
  if (!subject.dims.empty()) sizes.insert(sizes.end(), {0, 1, 5, 7});
  for (const int64_t size : sizes) {
    const std::optional<Tensors> inputs = inputs_of(subject, size);
    if (!inputs) continue;
    run(*inputs, fmt::format("at {}", size));
    for (size_t i = 0; i < inputs->size(); ++i) {
      const at::Tensor& input = (*inputs)[i];
      if (!is_dtensor(input)) continue;
      const at::Tensor whole = whole_of(input);
      for (const Placement placement : other_placements(input)) {
        Tensors laid = *inputs;
        laid[i] = distribute_tensor(whole, spec_of(input).mesh, placement);
        run(laid, fmt::format("at {}, input {} {}", size, i, placement.text()));
      }
    }
  }
  return found;
}

}  // namespace samebits
