#include "harness/kernels/shape_rule.h"

#include <c10/util/Exception.h>

#include <map>

namespace samebits {
namespace {

// Filled while static registrars run, read-only after.
std::map<std::string, ShapeRule>& rules() {
  static std::map<std::string, ShapeRule> instance;
  return instance;
}

}  // namespace

void register_shape_rule(const std::string& op, ShapeRule rule) {
  const bool added = rules().emplace(op, rule).second;
  TORCH_INTERNAL_ASSERT(added, "two shape rules for ", op);
}

bool has_shape_rule(const std::string& op) { return rules().count(op) != 0; }

std::vector<TensorMeta> infer_shapes(const std::string& op, c10::ArrayRef<c10::IValue> args) {
  const auto rule = rules().find(op);
  TORCH_CHECK_NOT_IMPLEMENTED(rule != rules().end(), "operator ", op,
                              " has no shape rule; it belongs in harness/kernels/shapes/");
  return rule->second(args);
}

}  // namespace samebits
