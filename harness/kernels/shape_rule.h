#pragma once

#include <ATen/core/ivalue.h>
#include <c10/core/ScalarType.h>
#include <c10/core/SymInt.h>

#include <string>
#include <vector>

namespace samebits {

// What is known of a tensor without its data. Every tensor of a samebits program is contiguous.
struct TensorMeta {
  std::vector<c10::SymInt> sizes;
  c10::ScalarType dtype;
};

// The abstract rule of one operator: its outputs' sizes and dtypes from its arguments, in schema
// order. Tensor arguments are read through sym_sizes() and scalar_type() only, so one rule serves
// concrete tensors (dtensor/ asks it for global shapes) and symbolic ones (capture/ traces with
// it). Throws c10::Error where the operator itself would refuse the shapes.
using ShapeRule = std::vector<TensorMeta> (*)(c10::ArrayRef<c10::IValue> args);

// Rules are found by the operator's name with its overload, as in a schema: "samebits::linear",
// "aten::add.Tensor". An operator without a rule is an error that names it.
void register_shape_rule(const std::string& op, ShapeRule rule);
bool has_shape_rule(const std::string& op);
std::vector<TensorMeta> infer_shapes(const std::string& op, c10::ArrayRef<c10::IValue> args);

// Registers a rule at static initialisation:  SAMEBITS_SHAPE_RULE("aten::neg", same_as_first);
struct ShapeRuleRegistrar {
  ShapeRuleRegistrar(const char* op, ShapeRule rule) { register_shape_rule(op, rule); }
};
#define SAMEBITS_SHAPE_RULE_CONCAT_(a, b) a##b
#define SAMEBITS_SHAPE_RULE_NAME_(count) SAMEBITS_SHAPE_RULE_CONCAT_(shape_rule_, count)
#define SAMEBITS_SHAPE_RULE(op, rule) \
  static const ::samebits::ShapeRuleRegistrar SAMEBITS_SHAPE_RULE_NAME_(__COUNTER__)(op, rule)

}  // namespace samebits
