#include "harness/capture/abstract_call.h"

#include <ATen/core/enum_tag.h>
#include <c10/util/Exception.h>

#include <algorithm>

#include "harness/capture/ir/graph.h"
#include "harness/dispatch/distributed_tensors.h"
#include "harness/dispatch/schema.h"
#include "harness/kernels/fake_tensor.h"
#include "harness/kernels/shape_rule.h"

namespace samebits {
namespace {

void refuse_untraceable(const c10::OperatorHandle& op, const std::string& name) {
  for (const c10::Argument& result : op.schema().returns()) {
    const auto kind = result.type()->kind();
    const bool is_tensor = kind == c10::TypeKind::TensorType;
    const bool is_list = result.type()->isSubtypeOf(*c10::ListType::ofTensors());
    TORCH_CHECK(is_tensor || (is_list && op.schema().returns().size() == 1), "operator ", name,
                " returns ", result.type()->str(),
                ", which depends on data or is not a tensor; a captured program cannot use it");
  }
  TORCH_CHECK(!op.hasTag(at::Tag::data_dependent_output), "operator ", name,
              " depends on data; a captured program cannot use it");
  TORCH_CHECK(!op.hasTag(at::Tag::dynamic_output_shape), "operator ", name,
              " gives a size that depends on data; a captured program cannot use it");
  TORCH_CHECK(!op.hasTag(at::Tag::inplace_view), "operator ", name,
              " changes the shape of its argument in place; a captured program cannot use it");
}

std::vector<at::Tensor> plain_results(const c10::OperatorHandle& op, const std::string& name,
                                      const std::vector<c10::IValue>& args) {
  std::vector<at::Tensor> results;
  for (const TensorMeta& meta : infer_shapes(name, args)) {
    results.push_back(make_fake_tensor(meta.sizes, meta.dtype, device_of(args),
                                       /*contiguous=*/!is_view(op.schema())));
  }
  return results;
}

}  // namespace

at::Tensor make_abstract_like(const at::Tensor& example, c10::SymIntArrayRef sizes) {
  if (const auto* distributed = distributed_tensors_of(example)) {
    return distributed->make_abstract_like(example, sizes);
  }
  return make_fake_tensor(sizes, example.scalar_type(), example.device(), /*contiguous=*/true);
}

bool is_abstract(const at::Tensor& tensor) {
  const auto* distributed = distributed_tensors_of(tensor);
  return distributed ? distributed->locals_of(tensor).empty() : is_fake_tensor(tensor);
}

std::string placements_text(const at::Tensor& tensor) {
  const auto* distributed = distributed_tensors_of(tensor);
  return distributed ? distributed->placements_text(tensor) : "";
}

ir::ValueMeta meta_of(const at::Tensor& tensor, const ShapeEnv& env) {
  ir::ValueMeta meta;
  for (const c10::SymInt& size : tensor.sym_sizes()) {
    meta.sizes.push_back(env.expr_from_sym_int(size));
  }
  meta.dtype = tensor.scalar_type();
  meta.placements = placements_text(tensor);
  return meta;
}

bool returns_tensor_list(const c10::OperatorHandle& op) {
  const auto& returns = op.schema().returns();
  return returns.size() == 1 && returns[0].type()->kind() == c10::TypeKind::ListType;
}

std::vector<at::Tensor> abstract_call(const c10::OperatorHandle& op,
                                      const std::vector<c10::IValue>& args) {
  const std::string name = ir::op_name(op);
  refuse_untraceable(op, name);
  const auto& returns = op.schema().returns();
  std::vector<at::Tensor> in_place;
  for (size_t i = 0; i < returns.size(); ++i) {
    if (const auto written = written_argument(op.schema(), i)) {
      in_place.push_back(args[*written].toTensor());
    }
  }
  const DistributedTensors* distributed = distributed_tensors();
  if (distributed && !distributed->concerns(name, args)) distributed = nullptr;
  if (in_place.size() == returns.size()) {
    // What does not fit is refused now.
    if (distributed) distributed->check_write(op, args);
    if (has_shape_rule(name)) infer_shapes(name, args);
    return in_place;
  }
  TORCH_CHECK_NOT_IMPLEMENTED(in_place.empty(), "operator ", name,
                              " returns both written arguments and new tensors");
  std::vector<at::Tensor> results =
      distributed ? distributed->abstract_results(op, args) : plain_results(op, name, args);
  TORCH_CHECK(returns_tensor_list(op) || results.size() == returns.size(), "the shape rule of ",
              name, " gives ", results.size(), " results, its schema has ", returns.size());
  return results;
}

}  // namespace samebits
