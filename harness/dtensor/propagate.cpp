#include "harness/dtensor/propagate.h"

#include <c10/util/Exception.h>

#include <map>
#include <set>
#include <sstream>

#include "harness/dispatch/operator_traits.h"

namespace samebits {
namespace {

// Filled while static registrars run, read-only after.
std::map<std::string, Strategy>& strategies() {
  static std::map<std::string, Strategy> instance;
  return instance;
}

std::string name_of(const c10::FunctionSchema& schema) {
  return schema.overload_name().empty() ? schema.name()
                                        : schema.name() + "." + schema.overload_name();
}

template <typename Visit>
void for_each_tensor(c10::ArrayRef<c10::IValue> args, Visit visit) {
  for (const c10::IValue& arg : args) {
    if (arg.isTensor()) {
      if (arg.toTensor().defined()) visit(arg.toTensor());
    } else if (arg.isTensorList()) {
      for (const at::Tensor& tensor : arg.toTensorVector()) {
        if (tensor.defined()) visit(tensor);
      }
    } else if (arg.isOptionalTensorList()) {
      for (const std::optional<at::Tensor>& tensor : arg.toOptionalTensorVector()) {
        if (tensor && tensor->defined()) visit(*tensor);
      }
    }
  }
}

}  // namespace

std::vector<at::Tensor> OpCall::tensors() const {
  std::vector<at::Tensor> found;
  for_each_tensor(args, [&](const at::Tensor& tensor) { found.push_back(tensor); });
  return found;
}

void register_strategy(const std::string& op, Strategy strategy) {
  const bool added = strategies().emplace(op, strategy).second;
  TORCH_INTERNAL_ASSERT(added, "two sharding strategies for ", op);
}

bool has_strategy(const std::string& op) { return find_strategy(op) != nullptr; }

Strategy find_strategy(const std::string& op) {
  const auto found = strategies().find(op);
  return found == strategies().end() ? nullptr : found->second;
}

bool is_conversion(const std::string& op) { return traits_of(op).is_conversion; }

OpSharding propagate(const OpCall& call) {
  const Strategy strategy = find_strategy(name_of(call.schema));
  if (!strategy) throw_no_strategy(call);
  return strategy(call);
}

void throw_no_strategy(const OpCall& call) {
  TORCH_CHECK_NOT_IMPLEMENTED(false, "operator ", name_of(call.schema),
                              " has no sharding strategy; it belongs in "
                              "harness/dtensor/strategies/. Called with placements (",
                              text_of(call.placements), "): ", call.schema);
}

ArgPlacements placements_of(c10::ArrayRef<c10::IValue> args) {
  ArgPlacements found;
  for_each_tensor(args, [&](const at::Tensor& tensor) {
    const DTensorImpl* impl = dtensor_impl(tensor);
    if (!impl) {
      found.placements.push_back(Placement::replicate());
      return;
    }
    TORCH_CHECK(!found.mesh || found.mesh == impl->spec().mesh,
                "the arguments of one operator lie on two meshes");
    found.mesh = impl->spec().mesh;
    found.placements.push_back(impl->spec().placement);
  });
  return found;
}

std::string text_of(const std::vector<Placement>& placements) {
  std::ostringstream out;
  for (size_t i = 0; i < placements.size(); ++i) out << (i ? ", " : "") << placements[i];
  return out.str();
}

}  // namespace samebits
