// The one kernel behind every operator on DTensors: the boxed fallback of kDTensorDispatchKey.
// Source of the semantics: torch/distributed/tensor/_dispatch.py, OpDispatcher.

#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/enum_tag.h>
#include <ATen/core/stack.h>
#include <c10/util/Exception.h>
#include <torch/library.h>

#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "harness/dispatch/dispatch_keys.h"
#include "harness/dispatch/dispatch_mode.h"
#include "harness/dispatch/schema.h"
#include "harness/dtensor/dtensor.h"
#include "harness/dtensor/propagate.h"
#include "harness/dtensor/redistribute_locals.h"
#include "harness/kernels/shape_rule.h"

namespace samebits {
namespace {

// What is known of an operator before it is called. Made once for each operator and thread, so that
// a call compares no strings.
struct OpEntry {
  std::string name;
  Strategy strategy;  // null: none is registered
  bool is_random;
  bool is_conversion;
  std::vector<bool> writes;                        // one for each argument
  std::vector<std::optional<size_t>> written_arg;  // one for each return: the argument that it is
};

OpEntry entry_of(const c10::OperatorHandle& op) {
  const c10::FunctionSchema& schema = op.schema();
  OpEntry entry;
  entry.name = c10::toString(op.operator_name());
  entry.strategy = find_strategy(entry.name);
  entry.is_conversion = is_conversion(entry.name);
  entry.is_random = op.hasTag(at::Tag::nondeterministic_seeded);
  for (const c10::Argument& argument : schema.arguments()) {
    entry.writes.push_back(is_written(argument));
  }
  for (size_t i = 0; i < schema.returns().size(); ++i) {
    entry.written_arg.push_back(written_argument(schema, i));
  }
  return entry;
}

const OpEntry& cached_entry_of(const c10::OperatorHandle& op) {
  // Looked up by address only, never iterated. Schemas of operators live as long as the process.
  static thread_local std::unordered_map<const c10::FunctionSchema*, OpEntry> entries;
  const auto found = entries.find(&op.schema());
  if (found != entries.end()) return found->second;
  return entries.emplace(&op.schema(), entry_of(op)).first->second;
}

// One call of one operator. The arguments leave the stack at construction; run() puts the results
// there.
class DTensorCall {
 public:
  DTensorCall(const c10::OperatorHandle& op, torch::jit::Stack* stack)
      : op_(op),
        entry_(cached_entry_of(op)),
        args_(torch::jit::pop(*stack, op.schema().arguments().size())),
        stack_(*stack) {}

  void run() {
    find_placements();
    propagate_placements();
    redistribute_inputs();
    call_ranks();
    wrap_results();
  }

 private:
  using Locals = std::vector<at::Tensor>;  // of one global tensor: one for each hosted rank

  const DeviceMesh& mesh() const { return *found_.mesh; }

  void find_placements() {
    found_ = placements_of(args_);
    TORCH_CHECK(found_.mesh, entry_.name, ": found no DTensor among the arguments");
  }

  void propagate_placements() {
    TORCH_CHECK(!entry_.is_random, entry_.name,
                " is random and is refused on DTensors: ranks would draw apart. Draw from a "
                "counter-based generator (samebits::sample) or on a plain tensor");
    if (!entry_.strategy) throw_no_strategy(op_.schema(), found_);
    sharding_.emplace(entry_.strategy, op_.schema(), args_, found_);
  }

  // The locals of every tensor argument, in the placement that the strategy asks for.
  void redistribute_inputs() {
    size_t next = 0;
    const auto take = [&](const at::Tensor& tensor, bool is_written) {
      const Placements& from = found_.placements[next];
      const Placements to = sharding_->input(next++);
      const DTensorImpl* impl = dtensor_impl(tensor);
      if (is_written) check_written(impl, from, to);
      TORCH_CHECK(!impl || !impl->locals().empty(), entry_.name,
                  " is called on an abstract DTensor, which has no data");
      inputs_.push_back(
          redistribute_locals(impl ? impl->locals() : Locals(mesh().hosted_ranks().size(), tensor),
                              mesh(), tensor.sizes(), from, to));
    };
    for (size_t i = 0; i < args_.size(); ++i) {
      const c10::IValue& arg = args_[i];
      if (arg.isTensor()) {
        if (arg.toTensor().defined()) take(arg.toTensor(), entry_.writes[i]);
      } else if (arg.isTensorList()) {
        for (const at::Tensor& tensor : arg.toTensorVector()) {
          if (tensor.defined()) take(tensor, entry_.writes[i]);
        }
      } else if (arg.isOptionalTensorList()) {
        for (const auto& tensor : arg.toOptionalTensorVector()) {
          if (tensor && tensor->defined()) take(*tensor, entry_.writes[i]);
        }
      }
    }
  }

  void check_written(const DTensorImpl* impl, const Placements& from, const Placements& to) const {
    TORCH_CHECK(impl, entry_.name, " writes a plain tensor, but other arguments are DTensors");
    TORCH_CHECK(from == to, entry_.name, " writes an argument that is ", from.text(),
                ", but would need it as ", to.text(), "; redistribute it before");
  }

  // The operator on every hosted rank, on plain tensors.
  void call_ranks() {
    for (size_t hosted = 0; hosted < mesh().hosted_ranks().size(); ++hosted) {
      torch::jit::Stack local = local_args(hosted);
      sharding_->localize(mesh().hosted_ranks()[hosted], local);
      op_.callBoxed(&local);
      results_.push_back(std::move(local));
    }
  }

  torch::jit::Stack local_args(size_t hosted) const {
    torch::jit::Stack local;
    local.reserve(args_.size());
    size_t next = 0;
    for (const c10::IValue& arg : args_) {
      if (arg.isTensor()) {
        local.push_back(arg.toTensor().defined() ? c10::IValue(inputs_[next++][hosted]) : arg);
      } else if (arg.isTensorList()) {
        std::vector<at::Tensor> tensors = arg.toTensorVector();
        for (at::Tensor& tensor : tensors) {
          if (tensor.defined()) tensor = inputs_[next++][hosted];
        }
        local.emplace_back(std::move(tensors));
      } else if (arg.isOptionalTensorList()) {
        auto tensors = arg.toOptionalTensorVector();
        for (auto& tensor : tensors) {
          if (tensor && tensor->defined()) tensor = inputs_[next++][hosted];
        }
        local.emplace_back(std::move(tensors));
      } else {
        local.push_back(arg);
      }
    }
    return local;
  }

  void wrap_results() {
    const auto& returns = op_.schema().returns();
    size_t output = 0;  // into the shape rule's and the strategy's outputs
    for (size_t i = 0; i < returns.size(); ++i) {
      const c10::IValue& first = results_[0][i];
      if (entry_.written_arg[i]) {
        stack_.push_back(args_[*entry_.written_arg[i]]);
        ++output;
      } else if (first.isTensor()) {
        const bool defined = first.toTensor().defined();
        stack_.emplace_back(defined ? wrapped(output,
                                              [&](const torch::jit::Stack& results) {
                                                return results[i].toTensor();
                                              })
                                    : at::Tensor());
        ++output;
      } else if (first.isTensorList()) {
        std::vector<at::Tensor> tensors;
        for (size_t k = 0; k < first.toTensorList().size(); ++k) {
          tensors.push_back(wrapped(output++, [&](const torch::jit::Stack& results) {
            return results[i].toTensorList().get(k);
          }));
        }
        stack_.emplace_back(std::move(tensors));
      } else {
        stack_.push_back(first);  // the same on every rank: the inputs were replicated
      }
    }
  }

  template <typename Take>
  at::Tensor wrapped(size_t output, Take take) {
    if (metas_.empty()) metas_ = infer_shapes(entry_.name, args_);
    TORCH_INTERNAL_ASSERT(output < sharding_->outputs() && output < metas_.size(),
                          "the rules of ", entry_.name, " give ", sharding_->outputs(),
                          " placements and ", metas_.size(), " shapes; output ", output,
                          " was asked for");
    Locals locals;
    for (const torch::jit::Stack& results : results_) locals.push_back(take(results));
    const TensorMeta& meta = metas_[output];
    return make_dtensor({found_.mesh, sharding_->output(output)}, meta.sizes, meta.dtype,
                        std::move(locals));
  }

  const c10::OperatorHandle& op_;
  const OpEntry& entry_;
  torch::jit::Stack args_;
  torch::jit::Stack& stack_;

  ArgPlacements found_;
  std::optional<MeshSharding> sharding_;
  std::vector<Locals> inputs_;              // one for each tensor argument
  std::vector<torch::jit::Stack> results_;  // one for each hosted rank
  std::vector<TensorMeta> metas_;
};

void call_on_dtensors(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  if (call_mode_below_autograd(op, stack)) return;
  // Everything below works on plain local tensors without autograd: DTensor's own history, kept
  // above, is the only one.
  const at::AutoDispatchBelowADInplaceOrView below_autograd;
  const c10::impl::ExcludeDispatchKeyGuard below_dtensor(kDTensorDispatchKey);
  if (cached_entry_of(op).is_conversion) {
    op.callBoxed(stack);
  } else {
    DTensorCall(op, stack).run();
  }
}

TORCH_LIBRARY_IMPL(_, Fake, m) {
  static_assert(kDTensorDispatchKey == c10::DispatchKey::Fake);
  m.fallback(torch::CppFunction::makeFromBoxedFunction<&call_on_dtensors>());
}

}  // namespace
}  // namespace samebits
