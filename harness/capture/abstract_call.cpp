#include "harness/capture/abstract_call.h"

#include <ATen/core/enum_tag.h>
#include <c10/util/Exception.h>

#include <algorithm>

#include "harness/capture/fake_tensor.h"
#include "harness/capture/ir/graph.h"
#include "harness/capture/rules/dtensor_rule.h"
#include "harness/dtensor/dtensor.h"
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

// The argument that a return is, where the operator writes it and gives it back.
const c10::IValue* written_argument(const c10::OperatorHandle& op, const c10::Argument& result,
                                    const std::vector<c10::IValue>& args) {
  if (!result.alias_info() || !result.alias_info()->isWrite()) return nullptr;
  const auto& arguments = op.schema().arguments();
  for (size_t i = 0; i < arguments.size(); ++i) {
    const auto* alias = arguments[i].alias_info();
    if (alias && alias->isWrite() && alias->beforeSets() == result.alias_info()->beforeSets()) {
      return &args[i];
    }
  }
  return nullptr;
}

bool is_view(const c10::OperatorHandle& op) {
  const auto& arguments = op.schema().arguments();
  return !arguments.empty() && arguments[0].alias_info() && !arguments[0].alias_info()->isWrite();
}

std::vector<at::Tensor> plain_results(const c10::OperatorHandle& op, const std::string& name,
                                      const std::vector<c10::IValue>& args) {
  std::vector<at::Tensor> results;
  for (const TensorMeta& meta : infer_shapes(name, args)) {
    results.push_back(
        make_fake_tensor(meta.sizes, meta.dtype, device_of(args), /*contiguous=*/!is_view(op)));
  }
  return results;
}

}  // namespace

at::Tensor make_abstract_like(const at::Tensor& example, c10::SymIntArrayRef sizes) {
  if (is_dtensor(example))
    return make_abstract_dtensor(spec_of(example), sizes, example.scalar_type(), example.device());
  return make_fake_tensor(sizes, example.scalar_type(), example.device(), /*contiguous=*/true);
}

bool is_abstract(const at::Tensor& tensor) {
  return is_fake_tensor(tensor) || (is_dtensor(tensor) && locals_of(tensor).empty());
}

std::string placements_text(const at::Tensor& tensor) {
  return is_dtensor(tensor) ? spec_of(tensor).placement.text() : "";
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
  for (const c10::Argument& result : returns) {
    if (const c10::IValue* arg = written_argument(op, result, args)) {
      in_place.push_back(arg->toTensor());
    }
  }
  const bool on_dtensors = concerns_dtensors(name, args);
  if (in_place.size() == returns.size()) {
    // What does not fit is refused now.
    if (on_dtensors) check_dtensor_write(op, args);
    if (has_shape_rule(name)) infer_shapes(name, args);
    return in_place;
  }
  TORCH_CHECK_NOT_IMPLEMENTED(in_place.empty(), "operator ", name,
                              " returns both written arguments and new tensors");
  std::vector<at::Tensor> results =
      on_dtensors ? dtensor_results(op, name, args) : plain_results(op, name, args);
  TORCH_CHECK(returns_tensor_list(op) || results.size() == returns.size(), "the shape rule of ",
              name, " gives ", results.size(), " results, its schema has ", returns.size());
  return results;
}

}  // namespace samebits
