#include "harness/capture/graph_check.h"

#include <c10/util/Exception.h>

#include <algorithm>

#include "harness/capture/abstract_call.h"
#include "harness/dispatch/device_error.h"
#include "harness/dispatch/distributed_tensors.h"
#include "harness/kernels/fake_tensor.h"
#include "harness/kernels/shape_rule.h"

namespace samebits {
namespace {

using ir::Arg;
using ir::ValueId;

// "BFloat16[1, tokens, 128] S(2)".
std::string text_of(const ir::ValueMeta& meta) {
  std::string sizes;
  for (const sym::Expr& size : meta.sizes) sizes += (sizes.empty() ? "" : ", ") + size.str();
  return std::string(c10::toString(meta.dtype)) + "[" + sizes + "]" +
         (meta.placements.empty() ? "" : " ") + meta.placements;
}

std::string results_text(size_t count) { return std::to_string(count) + " results"; }

class Walk {
 public:
  explicit Walk(const ir::Graph& graph);
  std::optional<GraphMismatch> find_mismatch();

 private:
  void find_mesh_and_device();
  at::Tensor abstract(const ir::ValueMeta& meta) const;
  c10::IValue ivalue(const Arg& arg) const;
  c10::IValue ivalue(const Arg::List& list) const;
  std::optional<GraphMismatch> call(size_t index);

  const ir::Graph& graph_;
  ShapeEnv env_;
  c10::IValue mesh_;  // None: no DTensor anywhere
  c10::Device device_ = c10::kCPU;
  std::vector<at::Tensor> values_;
};

Walk::Walk(const ir::Graph& graph) : graph_(graph), values_(graph.values.size()) {
  for (const ShapeEnv::Symbol& symbol : graph.symbols) {
    env_.create_symbol(symbol.name, symbol.hint, symbol.at_least);
  }
  find_mesh_and_device();
  for (size_t i = 0; i < graph.values.size(); ++i) {
    const ir::Value& value = graph.values[i];
    if (value.kind == ir::ValueKind::constant) values_[i] = value.constant;
    if (value.kind == ir::ValueKind::input) values_[i] = abstract(value.meta);
  }
}

void Walk::find_mesh_and_device() {
  const auto note_mesh = [&](const c10::IValue& value) {
    if (!distributed_tensors()) return;
    if (auto mesh = distributed_tensors()->mesh_of(value); !mesh.isNone()) mesh_ = std::move(mesh);
  };
  for (const ir::Value& value : graph_.values) {
    if (value.kind != ir::ValueKind::constant) continue;
    device_ = value.constant.device();
    note_mesh(value.constant);
  }
  for (const ir::Node& node : graph_.nodes) {
    for (const Arg& arg : node.args) {
      if (const auto* object = std::get_if<c10::IValue>(&arg.data)) note_mesh(*object);
    }
  }
}

at::Tensor Walk::abstract(const ir::ValueMeta& meta) const {
  std::vector<c10::SymInt> sizes;
  for (const sym::Expr& size : meta.sizes) sizes.push_back(env_.sym_int_from_expr(size));
  if (meta.placements.empty()) {
    return make_fake_tensor(sizes, meta.dtype, device_, /*contiguous=*/true);
  }
  TORCH_CHECK(!mesh_.isNone(), "an input with placements, and nothing that has a mesh");
  return distributed_tensors()->make_abstract(mesh_, meta.placements, sizes, meta.dtype, device_);
}

c10::IValue Walk::ivalue(const Arg& arg) const {
  if (const auto* ref = std::get_if<Arg::Ref>(&arg.data)) return values_[ref->value];
  if (const auto* e = std::get_if<sym::Expr>(&arg.data)) return env_.sym_int_from_expr(*e);
  if (const auto* list = std::get_if<Arg::List>(&arg.data)) return ivalue(*list);
  return std::get<c10::IValue>(arg.data);
}

c10::IValue Walk::ivalue(const Arg::List& list) const {
  const bool is_sizes = list.element_type->kind() == c10::TypeKind::IntType;
  c10::impl::GenericList items(is_sizes ? c10::TypePtr(c10::SymIntType::get()) : list.element_type);
  for (const Arg& item : list.items) items.push_back(ivalue(item));
  return items;
}

std::optional<GraphMismatch> Walk::call(size_t index) {
  const ir::Node& node = graph_.nodes[index];
  std::vector<c10::IValue> args;
  for (const Arg& arg : node.args) args.push_back(ivalue(arg));
  const std::vector<at::Tensor> results = abstract_call(node.op, args);
  if (results.size() != node.outputs.size()) {
    return GraphMismatch{index, results_text(node.outputs.size()), results_text(results.size())};
  }
  for (size_t i = 0; i < results.size(); ++i) {
    const ValueId id = node.outputs[i];
    if (values_[id].defined()) continue;  // written in place
    const std::string found = text_of(graph_.values[id].meta);
    const std::string expected = text_of(meta_of(results[i], env_));
    if (found != expected) {
      return GraphMismatch{index, graph_.values[id].name + ", a " + found, "a " + expected};
    }
    values_[id] = results[i];
  }
  return std::nullopt;
}

std::optional<GraphMismatch> Walk::find_mismatch() {
  for (size_t i = 0; i < graph_.nodes.size(); ++i) {
    const std::string accepted = "what " + ir::op_name(graph_.nodes[i].op) + " accepts";
    try {
      if (auto mismatch = call(i)) return mismatch;
    } catch (const c10::Error& error) {
      return GraphMismatch{i, "arguments refused: " + error_line(error), accepted};
    } catch (const std::exception& error) {  // sizes beyond 64 bits, divisions by zero
      return GraphMismatch{i, std::string("arguments refused: ") + error.what(), accepted};
    }
  }
  return std::nullopt;
}

}  // namespace

bool may_be_called(const c10::OperatorHandle& op) { return has_shape_rule(ir::op_name(op)); }

std::optional<GraphMismatch> find_mismatch(const ir::Graph& graph) {
  return Walk(graph).find_mismatch();
}

}  // namespace samebits
