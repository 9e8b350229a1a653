#include "harness/observe/computation_recorder.h"

#include <ATen/core/List.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <set>

#include "harness/capture/abstract_call.h"
#include "harness/capture/print.h"
#include "harness/dispatch/launch.h"
#include "harness/dispatch/schema.h"
#include "harness/dtensor/copies.h"
#include "harness/dtensor/dtensor.h"
#include "harness/graph/operator_watch.h"
#include "harness/observe/tensor_observation.h"
#include "harness/plant/fault.h"

namespace samebits {
namespace {

// Memory that somebody is about to fill is no value of the call that gave it.
bool only_allocates(const c10::OperatorHandle& op) {
  static const std::set<std::string> kAllocating = {"aten::empty_like", "aten::new_empty",
                                                    "aten::new_empty_strided"};
  return kAllocating.contains(op.operator_name().name);
}

bool is_all_of_its_memory(const at::Tensor& tensor) {
  if (is_dtensor(tensor)) {
    const std::vector<at::Tensor>& locals = locals_of(tensor);
    return std::all_of(locals.begin(), locals.end(), is_all_of_its_memory);
  }
  return tensor.has_storage() && tensor.nbytes() == tensor.storage().nbytes() &&
         tensor.is_non_overlapping_and_dense();
}

// What a copy is written over is no input of it, unless more lies in that memory.
bool is_written_over(const c10::OperatorHandle& op, const c10::Argument& declared,
                     const at::Tensor& tensor) {
  return op.operator_name().name == "aten::copy_" && is_written(declared) &&
         is_all_of_its_memory(tensor);
}

bool takes_a_tensor(const std::vector<c10::IValue>& args) {
  return std::any_of(args.begin(), args.end(),
                     [](const c10::IValue& arg) { return !tensors_in(arg).empty(); });
}

// The copy of the first rank that holds another one than the first; none where there is none.
std::optional<at::Tensor> copy_apart(const at::Tensor& tensor) {
  const std::vector<int64_t> apart = ranks_apart(tensor);
  if (apart.empty()) return std::nullopt;
  const std::vector<int64_t>& ranks = spec_of(tensor).mesh->hosted_ranks();
  const auto at = std::find(ranks.begin(), ranks.end(), apart.front()) - ranks.begin();
  return copy_of_whole(locals_of(tensor)[static_cast<size_t>(at)]);
}

const void* memory_of(const at::Tensor& tensor) {
  if (!is_dtensor(tensor)) return tensor.has_storage() ? tensor.const_data_ptr() : nullptr;
  const std::vector<at::Tensor>& locals = locals_of(tensor);
  return locals.empty() ? nullptr : locals[0].const_data_ptr();
}

Digest digest_of_whole(const at::Tensor& tensor) {
  const at::Tensor whole = copy_of_whole(tensor);
  return digest_of(dtype_from_scalar_type(whole.scalar_type()), whole.sizes(),
                   whole.const_data_ptr());
}

// The argument with `copy_of` in place of its tensors.
template <typename CopyOf>
c10::IValue with_copies(const c10::IValue& arg, const CopyOf& copy_of) {
  if (tensors_in(arg).empty()) return arg;
  if (arg.isTensor()) return copy_of(arg.toTensor());
  c10::impl::GenericList list(arg.type()->expectRef<c10::ListType>().getElementType());
  for (const c10::IValue& item : arg.toListRef()) {
    const bool is_there = item.isTensor() && item.toTensor().defined();
    list.emplace_back(is_there ? c10::IValue(copy_of(item.toTensor())) : item);
  }
  return list;
}

}  // namespace

std::shared_ptr<ComputationRecorder::Node> ComputationRecorder::node_of(
    const c10::OperatorHandle& op, c10::ArrayRef<c10::IValue> args) {
  const int64_t number = counts_[counted_name(op.operator_name().name)];
  auto node = std::make_shared<Node>(Node{calls_, number, op, args.vec(), {}});
  std::vector<at::Tensor> written;
  for (size_t i = 0; i < args.size(); ++i) {
    const c10::Argument& declared = op.schema().arguments()[i];
    for (const at::Tensor& tensor : tensors_in(args[i])) {
      if (is_abstract(tensor)) return nullptr;  // somebody traces
      node->is_over_mesh = node->is_over_mesh || is_dtensor(tensor);
      if (is_written(declared)) written.push_back(tensor);
      if (is_written_over(op, declared, tensor)) continue;
      Input input{declared.name(), tensor, maker_of(tensor), site_of(tensor), memory_of(tensor)};
      if (is_cache(declared.name())) {
        std::vector<Computation::Write>& writes = writes_[input.memory];
        const Digest found = digest_of_whole(tensor);
        if (writes.empty() || writes.back().left != found) writes.push_back({.left = found});
        input.writes = writes;
        if (is_written(declared)) input.made.reset();  // which others led to
      }
      node->inputs.push_back(std::move(input));
    }
  }
  if (node->inputs.empty() || only_allocates(op)) return nullptr;
  nodes_.push_back(node);
  for (const at::Tensor& tensor : written) keep_as_it_is(tensor);
  return node;
}

// Before it is written: every call that took it, or a view of it, took what it holds now.
void ComputationRecorder::keep_as_it_is(const at::Tensor& tensor) {
  std::map<const c10::TensorImpl*, at::Tensor> copies;
  const auto kept = [&](const at::Tensor& taken) {
    const bool is_it = taken.is_same(tensor) || (taken.has_storage() && tensor.has_storage() &&
                                                 taken.storage().is_alias_of(tensor.storage()));
    if (!is_it) return taken;
    at::Tensor& copy = copies[taken.unsafeGetTensorImpl()];
    if (!copy.defined()) copy = taken.detach().clone();  // over a mesh that of each rank
    return copy;
  };
  for (const std::weak_ptr<Node>& each : nodes_) {
    const std::shared_ptr<Node> node = each.lock();
    if (node == nullptr) continue;
    for (Input& input : node->inputs) input.tensor = kept(input.tensor);
    for (c10::IValue& arg : node->args) arg = with_copies(arg, kept);
  }
}

void ComputationRecorder::call(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  constexpr int64_t kCallsBetweenCleaning = 64;
  if (launch_sink() != nullptr) {
    op.callBoxed(stack);
    return;
  }
  const auto& schema = op.schema();
  const auto args = torch::jit::last(*stack, schema.arguments().size()).vec();
  const std::shared_ptr<Node> node = [&] {
    const OperatorWatchPause pause;  // its copies are no calls of the program
    return node_of(op, args);
  }();
  // What an observer calls leads to values too, and is no call of the program.
  const bool is_counted = takes_a_tensor(args) && !OperatorWatchPause::is_there();
  if (is_counted) ++counts_[counted_name(op.operator_name().name)];
  op.callBoxed(stack);
  if (node == nullptr) return;
  ++calls_;
  // An operator may give back what it was given, as contiguous() does: that is no other value.
  const auto was_given = [&](const at::Tensor& tensor) {
    return std::any_of(node->inputs.begin(), node->inputs.end(),
                       [&](const Input& input) { return input.tensor.is_same(tensor); });
  };
  size_t output = 0;
  const auto results = torch::jit::last(*stack, schema.returns().size());
  for (size_t i = 0; i < results.size(); ++i) {
    const bool is_argument = written_argument(schema, i).has_value();
    for (const at::Tensor& tensor : tensors_in(results[i])) {
      const bool is_new = !is_argument && !is_abstract(tensor) && !was_given(tensor);
      if (is_new) note_made(tensor, {node, output}, false);
      ++output;
    }
  }
  for (size_t i = 0; i < args.size(); ++i) {
    if (!is_written(schema.arguments()[i])) continue;
    for (const at::Tensor& tensor : tensors_in(args[i])) {
      note_made(tensor, {node, output++}, true);
      if (is_cache(schema.arguments()[i].name())) note_write(*node, tensor);
    }
  }
  if (calls_ % kCallsBetweenCleaning == 0) forget_the_dead();
}

void ComputationRecorder::note_write(const Node& node, const at::Tensor& cache) {
  const OperatorWatchPause pause;
  Computation::Write write{node.op.operator_name().name, node.number_of_operator, {}, {}};
  for (const Input& input : node.inputs) {
    if (!is_cache(input.name)) write.given.push_back(digest_of_whole(input.tensor));
  }
  write.left = digest_of_whole(cache);
  writes_[memory_of(cache)].push_back(std::move(write));
}

void ComputationRecorder::note_made(const at::Tensor& tensor, const Made& made, bool is_written) {
  const c10::TensorImpl* impl = tensor.unsafeGetTensorImpl();
  sites_.erase(impl);
  made_.insert_or_assign(
      impl, Noted<c10::TensorImpl, Made>{
                c10::weak_intrusive_ptr<c10::TensorImpl>(tensor.getIntrusivePtr()), made});
  if (!is_written || !tensor.has_storage()) return;
  const c10::Storage& storage = tensor.storage();
  written_.insert_or_assign(
      storage.unsafeGetStorageImpl(),
      Noted<c10::StorageImpl, Made>{
          c10::weak_intrusive_ptr<c10::StorageImpl>(
              c10::intrusive_ptr<c10::StorageImpl>::reclaim_copy(storage.unsafeGetStorageImpl())),
          made});
}

// The call that made it, or a later one that wrote into its memory: that of a rank, where it lies
// over a mesh.
std::optional<ComputationRecorder::Made> ComputationRecorder::maker_of(
    const at::Tensor& tensor) const {
  std::optional<Made> maker;
  if (const auto made = made_.find(tensor.unsafeGetTensorImpl()); made != made_.end()) {
    maker = made->second.what;
  }
  const auto look_at = [&](const at::Tensor& memory) {
    if (!memory.has_storage()) return;
    const auto written = written_.find(memory.storage().unsafeGetStorageImpl());
    if (written == written_.end()) return;
    const Made& writer = written->second.what;
    if (!maker || maker->node->number < writer.node->number) maker = writer;
  };
  if (!is_dtensor(tensor)) {
    look_at(tensor);
  } else {
    for (const at::Tensor& local : locals_of(tensor)) look_at(local);
  }
  return maker;
}

std::string ComputationRecorder::site_of(const at::Tensor& tensor) const {
  const auto site = sites_.find(tensor.unsafeGetTensorImpl());
  return site == sites_.end() ? "" : site->second.what;
}

void ComputationRecorder::forget_the_dead() {
  const auto is_dead = [](const auto& note) { return note.second.of.expired(); };
  std::erase_if(nodes_, [](const auto& node) { return node.expired(); });
  std::erase_if(made_, is_dead);
  std::erase_if(written_, is_dead);
  std::erase_if(sites_, is_dead);
}

void ComputationRecorder::name_value(const at::Tensor& value, const std::string& site) {
  sites_.insert_or_assign(
      value.unsafeGetTensorImpl(),
      Noted<c10::TensorImpl, std::string>{
          c10::weak_intrusive_ptr<c10::TensorImpl>(value.getIntrusivePtr()), site});
  forget_the_dead();
}

void ComputationRecorder::name_memory(const at::Tensor& value, const std::string& site) {
  if (const void* memory = memory_of(value)) sites_of_memory_.emplace(memory, site);
}

Computation ComputationRecorder::computation_of(const at::Tensor& value,
                                                const std::string& site) const {
  const c10::NoGradGuard no_grad;
  // The calls that lead to it, in the order in which they ran.
  std::map<int64_t, std::shared_ptr<const Node>> nodes;
  std::vector<std::shared_ptr<const Node>> open;
  const std::optional<Made> maker = maker_of(value);
  if (maker) open.push_back(maker->node);
  while (!open.empty()) {
    const std::shared_ptr<const Node> node = open.back();
    open.pop_back();
    if (!nodes.emplace(node->number, node).second) continue;
    for (const Input& input : node->inputs) {
      if (input.made && input.site.empty()) open.push_back(input.made->node);
    }
  }

  Computation computation;
  std::map<const c10::TensorImpl*, size_t> came_in;
  std::map<std::pair<int64_t, size_t>, size_t> made;  // by call and output
  std::map<int64_t, size_t> calls;
  const auto add_value = [&](const at::Tensor& tensor, const std::string& seen_at,
                             const void* memory) {
    computation.values.push_back(
        {copy_of_whole(tensor), seen_at, std::nullopt, 0, memory, copy_apart(tensor)});
    return computation.values.size() - 1;
  };
  const auto add_made = [&](const at::Tensor& tensor, const Made& by, const std::string& seen_at) {
    const auto [at, is_new] = made.try_emplace({by.node->number, by.output}, 0);
    if (!is_new) return at->second;
    at->second = add_value(tensor, seen_at, nullptr);
    computation.values.back().call = calls.at(by.node->number);
    computation.values.back().output = by.output;
    return at->second;
  };
  for (const auto& [number, node] : nodes) {
    Computation::Call call{node->op, {}, !node->is_over_mesh, {}, {}, node->number_of_operator};
    std::map<const c10::TensorImpl*, size_t> inputs;
    for (const Input& input : node->inputs) {
      const c10::TensorImpl* impl = input.tensor.unsafeGetTensorImpl();
      size_t index = 0;
      if (input.made && input.site.empty()) {
        index = add_made(input.tensor, *input.made, "");
      } else {
        const auto [at, is_new] = came_in.try_emplace(impl, 0);
        if (is_new) at->second = add_value(input.tensor, input.site, input.memory);
        index = at->second;
        computation.values[index].writes = input.writes;
      }
      call.inputs.push_back({input.name, index});
      inputs.emplace(impl, index);
    }
    // A copy that the values hold serves here too, unless it lies otherwise than its original.
    const auto copy_of = [&](const at::Tensor& tensor) {
      const bool is_alike = is_dtensor(tensor) || (tensor.is_cpu() && tensor.is_contiguous());
      const auto input = inputs.find(tensor.unsafeGetTensorImpl());
      if (!is_alike || input == inputs.end()) return tensor.detach().clone();
      return computation.values[input->second].tensor;
    };
    for (size_t i = 0; i < node->args.size(); ++i) {
      const c10::Argument& declared = node->op.schema().arguments()[i];
      if (tensors_in(node->args[i]).empty()) {
        call.arguments.emplace_back(declared.name(),
                                    constant_text(node->args[i], declared.real_type()));
      }
      call.args.push_back(with_copies(node->args[i], copy_of));
    }
    calls[number] = computation.calls.size();
    computation.calls.push_back(std::move(call));
  }
  computation.result = maker ? add_made(value, *maker, site) : add_value(value, site, nullptr);
  return computation;
}

void ComputationRecorder::name_weights(Computation& computation) const {
  for (Computation::Value& value : computation.values) {
    if (!value.site.empty() || value.call) continue;
    const auto site = sites_of_memory_.find(value.memory);
    if (site != sites_of_memory_.end()) value.site = site->second;
  }
}

}  // namespace samebits
