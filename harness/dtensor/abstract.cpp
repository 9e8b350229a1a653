// DTensors of which only sizes, dtypes and placements are known: what a tracer asks of dtensor/.

#include <ATen/core/class_type.h>
#include <c10/util/Exception.h>

#include <map>

#include "harness/dispatch/distributed_tensors.h"
#include "harness/dispatch/schema.h"
#include "harness/dtensor/dtensor.h"
#include "harness/dtensor/propagate.h"
#include "harness/dtensor/redistribute_locals.h"
#include "harness/kernels/fake_tensor.h"
#include "harness/kernels/shape_rule.h"

namespace samebits {
namespace {

using Args = c10::ArrayRef<c10::IValue>;
using Mesh = c10::intrusive_ptr<DeviceMesh>;
using Results = std::vector<at::Tensor>;

// Along a Shard the whole is as long as its parts together. That they are its chunks is checked by
// the operator when it runs.
Results from_local_results(Args args) {
  const std::vector<at::Tensor> locals = args[0].toTensorVector();
  const auto mesh = args[1].toCustomClass<DeviceMesh>();
  TORCH_CHECK(locals.size() == mesh->hosted_ranks().size(), "from_local: found ", locals.size(),
              " tensors, expected ", mesh->hosted_ranks().size(), ", one for each hosted rank");
  const DTensorSpec spec =
      DTensorSpec{mesh, Placements::from_text(args[2].toStringRef())}.normalized(locals[0].dim());
  return {make_abstract_dtensor(spec, sizes_of_parts(locals, spec), locals[0].scalar_type(),
                                locals[0].device())};
}

Results redistribute_results(Args args) {
  const at::Tensor& x = args[0].toTensor();
  const DTensorSpec& spec = spec_of(x);
  const DTensorSpec to =
      DTensorSpec{spec.mesh, Placements::from_text(args[1].toStringRef())}.normalized(x.dim());
  for (int64_t d = 0; d < spec.mesh->dims(); ++d) {
    TORCH_CHECK(!to.placements[d].is_partial() || spec.placements[d].is_partial(),
                "redistribute: found ", spec.placements, ", which cannot become ", to.placements);
  }
  const auto sizes =
      redistributed_sizes(x.sym_sizes(), spec, to.placements, /*unpad=*/args[2].toBool());
  return {make_abstract_dtensor(to, sizes, x.scalar_type(), x.device())};
}

Results to_local_results(Args args) {
  const at::Tensor& x = args[0].toTensor();
  const DTensorSpec& spec = spec_of(x);
  Results locals;
  for (const int64_t rank : spec.mesh->hosted_ranks()) {
    const auto sizes = local_sizes(x.sym_sizes(), spec, rank);
    locals.push_back(
        make_fake_tensor(sizes, x.scalar_type(), x.device(), /*contiguous=*/x.is_contiguous()));
  }
  return locals;
}

Results full_tensor_results(Args args) {
  const at::Tensor& x = args[0].toTensor();
  spec_of(x);  // refuses a plain tensor
  return {make_fake_tensor(x.sym_sizes(), x.scalar_type(), x.device(), /*contiguous=*/true)};
}

Results (*conversion_rule(const std::string& op))(Args) {
  static const std::map<std::string, Results (*)(Args)> rules{
      {"samebits::from_local", from_local_results},
      {"samebits::redistribute", redistribute_results},
      {"samebits::to_local", to_local_results},
      {"samebits::full_tensor", full_tensor_results}};
  return rules.at(op);
}

class DTensors final : public DistributedTensors {
 public:
  bool contains(const at::Tensor& tensor) const override { return is_dtensor(tensor); }

  std::string placements_text(const at::Tensor& tensor) const override {
    return spec_of(tensor).placements.text();
  }

  const std::vector<at::Tensor>& locals_of(const at::Tensor& tensor) const override {
    return samebits::locals_of(tensor);
  }

  at::Tensor make_abstract_like(const at::Tensor& example,
                                c10::SymIntArrayRef sizes) const override {
    return make_abstract_dtensor(spec_of(example), sizes, example.scalar_type(), example.device());
  }

  c10::IValue mesh_of(const c10::IValue& value) const override {
    if (value.isTensor() && is_dtensor(value.toTensor())) return spec_of(value.toTensor()).mesh;
    static const auto mesh_type = c10::getCustomClassType<Mesh>();
    return value.isObject() && value.type()->isSubtypeOf(*mesh_type) ? value : c10::IValue();
  }

  at::Tensor make_abstract(const c10::IValue& mesh, const std::string& placements,
                           c10::SymIntArrayRef sizes, c10::ScalarType dtype,
                           c10::Device device) const override {
    return make_abstract_dtensor(
        {mesh.toCustomClass<DeviceMesh>(), Placements::from_text(placements)}, sizes, dtype,
        device);
  }

  bool concerns(const std::string& op, Args args) const override {
    return is_conversion(op) || placements_of(args).mesh;
  }

  // Abstract DTensors of the shape rule's sizes, placed as the operator's strategy says. What
  // changes or leaves a placement has a rule of its own; its plain results are fake tensors, one
  // for each hosted rank.
  std::vector<at::Tensor> abstract_results(const c10::OperatorHandle& op,
                                           Args args) const override {
    const std::string name = c10::toString(op.operator_name());
    if (is_conversion(name)) return conversion_rule(name)(args);
    const ArgPlacements found = placements_of(args);
    const MeshSharding sharding = propagate(op.schema(), args, found);
    const std::vector<TensorMeta> metas = infer_shapes(name, args);
    TORCH_CHECK(metas.size() == sharding.outputs(), name, ": its shape rule gives ",
                metas.size(), " results, its strategy ", sharding.outputs());
    Results results;
    for (size_t i = 0; i < metas.size(); ++i) {
      // A result that aliases an argument may be a view that is not contiguous.
      results.push_back(make_abstract_dtensor({found.mesh, sharding.output(i)}, metas[i].sizes,
                                              metas[i].dtype, device_of(args),
                                              /*contiguous=*/!is_view(op.schema())));
    }
    return results;
  }

  void check_write(const c10::OperatorHandle& op, Args args) const override {
    propagate(op.schema(), args, placements_of(args));
  }
};

const bool kRegistered = [] {
  static const DTensors dtensors;
  register_distributed_tensors(dtensors);
  return true;
}();

}  // namespace
}  // namespace samebits
