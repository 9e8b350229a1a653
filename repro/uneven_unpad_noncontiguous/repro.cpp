#include "repro/uneven_unpad_noncontiguous/repro.h"

#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/library.h>

#include <string_view>
#include <utility>

#include "harness/dispatch/dispatch_keys.h"
#include "harness/dtensor/dtensor.h"
#include "harness/dtensor/strategies/common.h"
#include "harness/kernels/shape_rule.h"

namespace samebits {
namespace {

constexpr int64_t kBatch = 4;
constexpr int64_t kInnermost = 10;

// The value on every rank: of a DTensor gathered, padded to equal shards, and cut. Of a plain
// tensor a copy.
//   ""         contiguous
//   "strided"  as it was cut
TORCH_LIBRARY_FRAGMENT(samebits_repro, m) {
  m.def("gather(Tensor x) -> Tensor");
  m.def("gather.strided(Tensor x) -> Tensor");
}

at::Tensor gather_copy(const at::Tensor& x) { return x.clone(); }

at::Tensor gathered_with_padding_of(const at::Tensor& x) {
  return c10::Dispatcher::singleton()
      .findSchemaOrThrow("samebits::redistribute", "")
      .typed<at::Tensor(const at::Tensor&, std::string_view, bool)>()
      .call(x, "R", /*unpad=*/false);
}

at::Tensor gather(const at::Tensor& x, bool contiguous) {
  const DTensorSpec& spec = spec_of(x);
  if (!spec.placement().is_shard()) return redistribute(x.clone(), Placement::replicate());
  const int64_t dim = spec.placement().dim();
  const at::Tensor padded = gathered_with_padding_of(x);
  std::vector<at::Tensor> wholes;
  for (const at::Tensor& local : locals_of(padded)) {
    const at::Tensor cut = local.narrow(dim, 0, x.size(dim));
    wholes.push_back(contiguous ? cut.contiguous() : cut);
  }
  return make_dtensor({spec.mesh, Placement::replicate()}, x.sym_sizes(), x.scalar_type(),
                      std::move(wholes));
}

TORCH_LIBRARY_IMPL(samebits_repro, CPU, m) {
  m.impl("gather", gather_copy);
  m.impl("gather.strided", gather_copy);
}

TORCH_LIBRARY_IMPL(samebits_repro, Fake, m) {
  static_assert(kDTensorDispatchKey == c10::DispatchKey::Fake);
  m.impl("gather", [](const at::Tensor& x) { return gather(x, /*contiguous=*/true); });
  m.impl("gather.strided", [](const at::Tensor& x) { return gather(x, /*contiguous=*/false); });
}

std::vector<TensorMeta> gather_shape(c10::ArrayRef<c10::IValue> args) {
  const at::Tensor& x = args[0].toTensor();
  return {{x.sym_sizes().vec(), x.scalar_type()}};
}

OpSharding gather_placement(const OpCall& call) { return {call.placements, {replicate()}, {}}; }

SAMEBITS_SHAPE_RULE("samebits_repro::gather", gather_shape);
SAMEBITS_SHAPE_RULE("samebits_repro::gather.strided", gather_shape);
SAMEBITS_STRATEGY("samebits_repro::gather", gather_placement);
SAMEBITS_STRATEGY("samebits_repro::gather.strided", gather_placement);

at::Tensor call_gather(const at::Tensor& x, const char* overload) {
  return c10::Dispatcher::singleton()
      .findSchemaOrThrow("samebits_repro::gather", overload)
      .typed<at::Tensor(const at::Tensor&)>()
      .call(x);
}

}  // namespace

Subject gathered_and_viewed(Side side, int64_t ranks) {
  const auto mesh = make_local_mesh(ranks);
  const char* overload = side == Side::kBuggy ? "strided" : "";
  Subject subject;
  subject.program = [overload](const std::vector<at::Tensor>& in) {
    const c10::SymInt rows = in[0].sym_size(1) * kBatch;
    const at::Tensor local = to_local(call_gather(in[0], overload))[0];
    return std::vector<at::Tensor>{local.view_symint({rows, kInnermost})};
  };
  subject.dims = {{0, 1, "s", 1}};
  subject.inputs = [mesh](int64_t s) {
    const at::Tensor whole =
        at::arange(kBatch * s * kInnermost, at::kFloat).view({kBatch, s, kInnermost});
    return std::vector<at::Tensor>{distribute_tensor(whole, mesh, Placement::shard(1))};
  };
  subject.hint = 31;
  subject.sizes = sizes_to_try(ranks);
  return subject;
}

Repro uneven_unpad_noncontiguous() {
  return {"uneven_unpad_noncontiguous",
          "a gathered uneven shard keeps the strides of its padding, and cannot be viewed",
          /*is_silent=*/false,
          /*symptom=*/
          "eager at 31: view size is not compatible with input tensor's size and stride",
          {"https://github.com/pytorch/pytorch/issues/173041",
           "https://github.com/pytorch/pytorch/pull/174134",
           "https://github.com/pytorch/pytorch/pull/184443",
           "https://github.com/pytorch/pytorch/issues/143748"},
          [](Side side) { return gathered_and_viewed(side, /*ranks=*/2); }};
}
SAMEBITS_REPRO(uneven_unpad_noncontiguous);

}  // namespace samebits
