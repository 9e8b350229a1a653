#include "harness/dtensor/propagate.h"

#include <c10/util/Exception.h>

#include <algorithm>
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

MeshSharding::MeshSharding(Strategy strategy, const c10::FunctionSchema& schema,
                           c10::ArrayRef<c10::IValue> args, const ArgPlacements& found)
    : mesh_(found.mesh) {
  // What is not cut is rewritten as it is for the whole.
  const auto rewrites = [](const OpSharding& sharding) {
    return sharding.localize && std::any_of(sharding.outputs.begin(), sharding.outputs.end(),
                                            [](const Placement& each) { return each.is_shard(); });
  };
  for (int64_t d = 0; d < mesh_->dims(); ++d) {
    OpCall call{schema, args, mesh_->size(d), {}};
    for (const Placements& each : found.placements) call.placements.push_back(each[d]);
    by_dim_.push_back(strategy(call));
    TORCH_INTERNAL_ASSERT(by_dim_.back().inputs.size() == call.placements.size(),
                          "the strategy of ", name_of(schema), " gives ",
                          by_dim_.back().inputs.size(), " inputs for ", call.placements.size(),
                          " tensors");
  }
  TORCH_CHECK_NOT_IMPLEMENTED(
      std::count_if(by_dim_.begin(), by_dim_.end(), rewrites) <= 1, "operator ", name_of(schema),
      " with placements (", text_of(found.placements),
      "): two dimensions of the mesh would rewrite its arguments; redistribute one of them before");
}

Placements MeshSharding::input(size_t i) const {
  Placements placements = by_dim_[0].inputs[i];
  for (size_t d = 1; d < by_dim_.size(); ++d) placements.append(by_dim_[d].inputs[i]);
  return placements;
}

Placements MeshSharding::output(size_t i) const {
  Placements placements = by_dim_[0].outputs[i];
  for (size_t d = 1; d < by_dim_.size(); ++d) placements.append(by_dim_[d].outputs[i]);
  return placements;
}

void MeshSharding::localize(int64_t rank, std::vector<c10::IValue>& local_args) const {
  for (size_t d = 0; d < by_dim_.size(); ++d) {
    if (!by_dim_[d].localize) continue;
    by_dim_[d].localize(mesh_->coordinate(rank, static_cast<int64_t>(d)), local_args);
  }
}

MeshSharding propagate(const c10::FunctionSchema& schema, c10::ArrayRef<c10::IValue> args,
                       const ArgPlacements& found) {
  const Strategy strategy = find_strategy(name_of(schema));
  if (!strategy) throw_no_strategy(schema, found);
  return {strategy, schema, args, found};
}

void throw_no_strategy(const c10::FunctionSchema& schema, const ArgPlacements& found) {
  TORCH_CHECK_NOT_IMPLEMENTED(false, "operator ", name_of(schema),
                              " has no sharding strategy; it belongs in "
                              "harness/dtensor/strategies/. Called with placements (",
                              text_of(found.placements), "): ", schema);
}

ArgPlacements placements_of(c10::ArrayRef<c10::IValue> args) {
  ArgPlacements found;
  std::vector<const DTensorImpl*> impls;
  for_each_tensor(args, [&](const at::Tensor& tensor) {
    const DTensorImpl* impl = dtensor_impl(tensor);
    impls.push_back(impl);
    if (!impl) return;
    TORCH_CHECK(!found.mesh || found.mesh == impl->spec().mesh,
                "the arguments of one operator lie on two meshes");
    found.mesh = impl->spec().mesh;
  });
  const Placements plain = Placements::replicate(found.mesh ? found.mesh->dims() : 1);
  for (const DTensorImpl* impl : impls) {
    found.placements.push_back(impl ? impl->spec().placements : plain);
  }
  return found;
}

std::string text_of(const std::vector<Placements>& placements) {
  std::ostringstream out;
  for (size_t i = 0; i < placements.size(); ++i) out << (i ? ", " : "") << placements[i];
  return out.str();
}

}  // namespace samebits
