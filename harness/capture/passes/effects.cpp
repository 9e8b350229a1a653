#include "harness/capture/passes/effects.h"

#include <ATen/core/enum_tag.h>

#include <algorithm>
#include <map>

#include "harness/dispatch/distributed_tensors.h"
#include "harness/dispatch/operator_traits.h"
#include "harness/dispatch/schema.h"

namespace samebits::passes {
namespace {

using ir::ValueId;

// The arguments that a node's results may share memory with.
std::vector<ValueId> viewed_values(const ir::Node& node) {
  const c10::FunctionSchema& schema = node.op.schema();
  const bool all = traits_of(ir::op_name(node.op)).is_conversion;
  const bool any = std::any_of(schema.returns().begin(), schema.returns().end(),
                               [](const c10::Argument& result) { return result.alias_info(); });
  std::vector<ValueId> viewed;
  for (size_t i = 0; i < node.args.size(); ++i) {
    if (!all && !(any && schema.arguments()[i].alias_info())) continue;
    ir::for_each_value(node.args[i], [&](ValueId id) { viewed.push_back(id); });
  }
  return viewed;
}

std::vector<const void*> storages_of(const at::Tensor& tensor) {
  std::vector<const void*> storages;
  if (const auto* distributed = distributed_tensors_of(tensor)) {
    for (const at::Tensor& local : distributed->locals_of(tensor)) {
      storages.push_back(local.storage().unsafeGetStorageImpl());
    }
  } else if (tensor.has_storage()) {
    storages.push_back(tensor.storage().unsafeGetStorageImpl());
  }
  return storages;
}

void sort_unique(std::vector<int>& numbers) {
  std::sort(numbers.begin(), numbers.end());
  numbers.erase(std::unique(numbers.begin(), numbers.end()), numbers.end());
}

}  // namespace

bool is_pure(const ir::Node& node) {
  return !node.has_effect() && !node.op.hasTag(at::Tag::nondeterministic_seeded);
}

std::vector<ValueId> written_values(const ir::Node& node) {
  std::vector<ValueId> written;
  for (size_t i = 0; i < node.args.size(); ++i) {
    if (!is_written(node.op.schema().arguments()[i])) continue;
    ir::for_each_value(node.args[i], [&](ValueId id) { written.push_back(id); });
  }
  return written;
}

Memory::Memory(const ir::Graph& graph) : roots_(graph.values.size()) {
  std::map<const void*, int> storages;
  for (size_t i = 0; i < graph.values.size(); ++i) {
    const ir::Value& value = graph.values[i];
    if (value.kind == ir::ValueKind::input) roots_[i] = {0};
    if (value.kind != ir::ValueKind::constant) continue;
    for (const void* storage : storages_of(value.constant)) {
      const auto [at, added] = storages.try_emplace(storage, outside_);
      outside_ += added ? 1 : 0;
      roots_[i].push_back(at->second);
    }
    if (roots_[i].empty()) roots_[i].push_back(outside_++);  // memory of its own
    sort_unique(roots_[i]);
  }
  int next = outside_;
  for (const ir::Node& node : graph.nodes) {
    Roots viewed;
    for (const ValueId id : viewed_values(node)) {
      viewed.insert(viewed.end(), roots_[id].begin(), roots_[id].end());
    }
    for (const ValueId id : node.outputs) {
      if (!roots_[id].empty()) continue;  // written in place
      roots_[id] = viewed;
      if (viewed.empty()) roots_[id].push_back(next++);
      sort_unique(roots_[id]);
    }
    for (const ValueId id : written_values(node)) {
      written_.insert(written_.end(), roots_[id].begin(), roots_[id].end());
    }
  }
  sort_unique(written_);
}

bool Memory::overlap(const Roots& a, const Roots& b) const {
  const auto has_input = [](const Roots& roots) { return !roots.empty() && roots[0] == 0; };
  const auto is_outside = [&](const Roots& roots) { return !roots.empty() && roots[0] < outside_; };
  if ((has_input(a) && is_outside(b)) || (has_input(b) && is_outside(a))) return true;
  return std::any_of(a.begin(), a.end(),
                     [&](int root) { return std::binary_search(b.begin(), b.end(), root); });
}

bool Memory::may_alias(ValueId a, ValueId b) const { return overlap(roots_[a], roots_[b]); }

bool Memory::may_be_written(ValueId value) const { return overlap(roots_[value], written_); }

}  // namespace samebits::passes
