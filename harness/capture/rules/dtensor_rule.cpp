#include "harness/capture/rules/dtensor_rule.h"

#include <c10/util/Exception.h>

#include <map>

#include "harness/capture/fake_tensor.h"
#include "harness/dtensor/dtensor.h"
#include "harness/dtensor/propagate.h"
#include "harness/dtensor/redistribute_locals.h"
#include "harness/kernels/shape_rule.h"

namespace samebits {
namespace {

using Args = std::vector<c10::IValue>;
using Results = std::vector<at::Tensor>;

// Along a Shard the whole is as long as its parts together. That they are its chunks is checked by
// the operator when it runs.
Results from_local_results(const Args& args) {
  const std::vector<at::Tensor> locals = args[0].toTensorVector();
  const auto mesh = args[1].toCustomClass<DeviceMesh>();
  TORCH_CHECK(locals.size() == mesh->hosted_ranks().size(), "from_local: found ", locals.size(),
              " tensors, expected ", mesh->hosted_ranks().size(), ", one for each hosted rank");
  const Placement placement =
      Placement::from_text(args[2].toStringRef()).normalized(locals[0].dim());
  std::vector<c10::SymInt> sizes = locals[0].sym_sizes().vec();
  if (placement.is_shard()) {
    c10::SymInt whole = 0;
    for (const at::Tensor& local : locals) whole = whole + local.sym_size(placement.dim());
    sizes[static_cast<size_t>(placement.dim())] = whole;
  }
  return {
      make_abstract_dtensor({mesh, placement}, sizes, locals[0].scalar_type(), locals[0].device())};
}

Results redistribute_results(const Args& args) {
  const at::Tensor& x = args[0].toTensor();
  const DTensorSpec& spec = spec_of(x);
  const Placement to = Placement::from_text(args[1].toStringRef()).normalized(x.dim());
  TORCH_CHECK(!to.is_partial() || spec.placement.is_partial(), "redistribute: found ",
              spec.placement.text(), ", which cannot become ", to.text());
  const auto sizes = redistributed_sizes(x.sym_sizes(), spec.placement, to, spec.mesh->size(),
                                         /*unpad=*/args[2].toBool());
  return {make_abstract_dtensor({spec.mesh, to}, sizes, x.scalar_type(), x.device())};
}

Results to_local_results(const Args& args) {
  const at::Tensor& x = args[0].toTensor();
  const DTensorSpec& spec = spec_of(x);
  Results locals;
  for (const int64_t rank : spec.mesh->hosted_ranks()) {
    const auto sizes = local_sizes(x.sym_sizes(), spec.placement, spec.mesh->size(), rank);
    locals.push_back(
        make_fake_tensor(sizes, x.scalar_type(), x.device(), /*contiguous=*/x.is_contiguous()));
  }
  return locals;
}

Results full_tensor_results(const Args& args) {
  const at::Tensor& x = args[0].toTensor();
  spec_of(x);  // refuses a plain tensor
  return {make_fake_tensor(x.sym_sizes(), x.scalar_type(), x.device(), /*contiguous=*/true)};
}

const std::map<std::string, Results (*)(const Args&)>& placement_rules() {
  static const std::map<std::string, Results (*)(const Args&)> rules{
      {"samebits::from_local", from_local_results},
      {"samebits::redistribute", redistribute_results},
      {"samebits::to_local", to_local_results},
      {"samebits::full_tensor", full_tensor_results}};
  return rules;
}

// A result that aliases an argument may be a view that is not contiguous.
bool is_view(const c10::FunctionSchema& schema) {
  const auto& arguments = schema.arguments();
  return !arguments.empty() && arguments[0].alias_info() && !arguments[0].alias_info()->isWrite();
}

}  // namespace

bool concerns_dtensors(const std::string& op, const Args& args) {
  return placement_rules().count(op) != 0 || placements_of(args).mesh;
}

Results dtensor_results(const c10::OperatorHandle& op, const std::string& name, const Args& args) {
  const auto rule = placement_rules().find(name);
  if (rule != placement_rules().end()) return rule->second(args);
  ArgPlacements found = placements_of(args);
  const OpSharding sharding =
      propagate({op.schema(), args, found.mesh, std::move(found.placements)});
  const std::vector<TensorMeta> metas = infer_shapes(name, args);
  TORCH_CHECK(metas.size() == sharding.outputs.size(), name, ": its shape rule gives ",
              metas.size(), " results, its strategy ", sharding.outputs.size());
  Results results;
  for (size_t i = 0; i < metas.size(); ++i) {
    results.push_back(make_abstract_dtensor({found.mesh, sharding.outputs[i]}, metas[i].sizes,
                                            metas[i].dtype, device_of(args),
                                            /*contiguous=*/!is_view(op.schema())));
  }
  return results;
}

void check_dtensor_write(const c10::OperatorHandle& op, const Args& args) {
  ArgPlacements found = placements_of(args);
  propagate({op.schema(), args, found.mesh, std::move(found.placements)});
}

}  // namespace samebits
