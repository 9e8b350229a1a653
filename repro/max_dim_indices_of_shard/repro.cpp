#include "repro/max_dim_indices_of_shard/repro.h"

#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/library.h>

#include <string>
#include <utility>

#include "harness/detect/sharded.h"
#include "harness/dispatch/dispatch_keys.h"
#include "harness/dtensor/dtensor.h"
#include "harness/dtensor/strategies/common.h"
#include "harness/kernels/shape_rule.h"

namespace samebits {
namespace {

using Tensors = std::vector<at::Tensor>;
using Args = c10::ArrayRef<c10::IValue>;
using Metas = std::vector<TensorMeta>;

// Three operators that are not linear in their argument, each under two rules:
//   ""          what is to be reduced is gathered first
//   "of_parts"  every rank reduces its part, and the results are combined
TORCH_LIBRARY_FRAGMENT(samebits_repro, m) {
  for (const char* overload : {"", ".of_parts"}) {
    const auto define = [&](const std::string& name, const char* signature) {
      m.def((name + overload + signature).c_str());
    };
    define("argmax", "(Tensor x, int dim) -> Tensor");
    define("mean", "(Tensor x, int parts=1) -> Tensor");  // divided once more, by `parts`
    define("plus", "(Tensor x, Scalar number) -> Tensor");
  }
}

at::Tensor argmax_kernel(const at::Tensor& x, int64_t dim) { return x.argmax(dim); }
at::Tensor mean_kernel(const at::Tensor& x, int64_t parts) { return x.mean().div(parts); }
at::Tensor plus_kernel(const at::Tensor& x, const at::Scalar& number) { return x.add(number); }

at::Tensor call_argmax(const at::Tensor& x, int64_t dim, const char* overload) {
  return c10::Dispatcher::singleton()
      .findSchemaOrThrow("samebits_repro::argmax", overload)
      .typed<at::Tensor(const at::Tensor&, int64_t)>()
      .call(x, dim);
}

at::Tensor call_mean(const at::Tensor& x, const char* overload) {
  return c10::Dispatcher::singleton()
      .findSchemaOrThrow("samebits_repro::mean", overload)
      .typed<at::Tensor(const at::Tensor&, int64_t)>()
      .call(x, /*parts=*/1);
}

at::Tensor call_plus(const at::Tensor& x, const at::Scalar& number, const char* overload) {
  return c10::Dispatcher::singleton()
      .findSchemaOrThrow("samebits_repro::plus", overload)
      .typed<at::Tensor(const at::Tensor&, const at::Scalar&)>()
      .call(x, number);
}

// The largest index of all ranks, each counted from the start of its shard.
at::Tensor largest_index_of_parts(const at::Tensor& x, int64_t dim) {
  const DTensorSpec& spec = spec_of(x);
  if (!spec.placement().is_shard(dim)) return call_argmax(x, dim, "");
  Tensors indices;
  for (const at::Tensor& local : locals_of(x)) indices.push_back(local.argmax(dim, true));
  Tensors largest = spec.mesh->communicator().all_gather(indices, dim, spec.mesh->size());
  for (at::Tensor& each : largest) each = each.amax(dim);
  const at::IntArrayRef sizes = largest[0].sizes();
  return make_dtensor({spec.mesh, replicate()}, c10::fromIntArrayRefSlow(sizes), at::kLong,
                      std::move(largest));
}

TORCH_LIBRARY_IMPL(samebits_repro, CPU, m) {
  for (const std::string overload : {"", ".of_parts"}) {
    m.impl(("argmax" + overload).c_str(), argmax_kernel);
    m.impl(("mean" + overload).c_str(), mean_kernel);
    m.impl(("plus" + overload).c_str(), plus_kernel);
  }
}

// A placement has no pending maximum, so the rule is a kernel.
TORCH_LIBRARY_IMPL(samebits_repro, Fake, m) {
  static_assert(kDTensorDispatchKey == c10::DispatchKey::Fake);
  m.impl("argmax.of_parts", largest_index_of_parts);
}

Metas argmax_shape(Args args) {
  const at::Tensor& x = args[0].toTensor();
  std::vector<c10::SymInt> sizes = x.sym_sizes().vec();
  sizes.erase(sizes.begin() + wrapped_dim(args[1], x.dim()));
  return {{std::move(sizes), at::kLong}};
}

Metas mean_shape(Args args) { return {{{}, args[0].toTensor().scalar_type()}}; }

Metas plus_shape(Args args) { return infer_shapes("aten::add.Scalar", {args[0], args[1], 1}); }

OpSharding argmax(const OpCall& call) {
  const Placement x = call.placements[0];
  const int64_t dim = wrapped_dim(call.args[1], call.args[0].toTensor().dim());
  if (!x.is_shard() || x.dim() == dim) return all_replicate(call, 1);
  return {{x}, {shard(x.dim() - (x.dim() > dim ? 1 : 0))}, {}};
}

OpSharding mean(const OpCall& call) { return all_replicate(call, 1); }

// The mean of the ranks' means, whatever they have of it.
OpSharding mean_of_parts(const OpCall& call) {
  if (!call.placements[0].is_shard()) return mean(call);
  const int64_t n = call.ranks;
  return {
      call.placements, {partial()}, [n](int64_t, std::vector<c10::IValue>& args) { args[1] = n; }};
}

// Every rank adds the number.
OpSharding plus_of_parts(const OpCall& call) { return {call.placements, call.placements, {}}; }

OpSharding plus(const OpCall& call) {
  return call.placements[0].is_partial() ? all_replicate(call, 1) : plus_of_parts(call);
}

SAMEBITS_SHAPE_RULE("samebits_repro::argmax", argmax_shape);
SAMEBITS_SHAPE_RULE("samebits_repro::argmax.of_parts", argmax_shape);
SAMEBITS_SHAPE_RULE("samebits_repro::mean", mean_shape);
SAMEBITS_SHAPE_RULE("samebits_repro::mean.of_parts", mean_shape);
SAMEBITS_SHAPE_RULE("samebits_repro::plus", plus_shape);
SAMEBITS_SHAPE_RULE("samebits_repro::plus.of_parts", plus_shape);
SAMEBITS_STRATEGY("samebits_repro::argmax", argmax);
SAMEBITS_STRATEGY("samebits_repro::argmax.of_parts", argmax);
SAMEBITS_STRATEGY("samebits_repro::mean", mean);
SAMEBITS_STRATEGY("samebits_repro::mean.of_parts", mean_of_parts);
SAMEBITS_STRATEGY("samebits_repro::plus", plus);
SAMEBITS_STRATEGY("samebits_repro::plus.of_parts", plus_of_parts);

const char* overload_of_side(Side side) { return side == Side::kBuggy ? "of_parts" : ""; }

Subject over_ranks(Program program, at::Tensor (*whole)(int64_t size), int64_t shard_dim,
                   int64_t hint) {
  constexpr int64_t kRanks = 2;
  const auto mesh = make_local_mesh(kRanks);
  Subject subject;
  subject.program = std::move(program);
  subject.dims = {{0, 0, "s", 1}};
  subject.inputs = [mesh, whole, shard_dim](int64_t size) {
    return Tensors{distribute_tensor(whole(size), mesh, Placement::shard(shard_dim))};
  };
  subject.hint = hint;
  subject.sizes = sizes_to_try(kRanks);
  return subject;
}

}  // namespace

Subject argmax_of_rows(Side side) {
  const char* overload = overload_of_side(side);
  return over_ranks(
      [overload](const Tensors& in) { return Tensors{call_argmax(in[0], /*dim=*/1, overload)}; },
      [](int64_t s) {
        return at::tensor({10., 5., 3., 8.}, at::kFloat).expand({s, 4});
      },
      /*shard_dim=*/1, /*hint=*/4);
}

Subject mean_of_all(Side side) {
  const char* overload = overload_of_side(side);
  return over_ranks([overload](const Tensors& in) { return Tensors{call_mean(in[0], overload)}; },
                    [](int64_t s) {
                      return at::arange(s * 4, at::kFloat).view({s, 4});
                    },
                    /*shard_dim=*/0, /*hint=*/3);
}

Subject sum_plus_ten(Side side) {
  const char* overload = overload_of_side(side);
  return over_ranks(
      [overload](const Tensors& in) { return Tensors{call_plus(in[0].sum(), 10, overload)}; },
      [](int64_t s) { return at::arange(s, at::kFloat); }, /*shard_dim=*/0, /*hint=*/10);
}

Repro max_dim_indices_of_shard() {
  return {"max_dim_indices_of_shard",
          "indices within shards are reduced as if they were values; means and sums likewise",
          /*is_silent=*/true,
          /*symptom=*/"sharded at 4: output 0: element [0] is 1, expected 0; 4 of 4 differ",
          {"https://github.com/pytorch/pytorch/issues/168940",
           "https://github.com/pytorch/pytorch/pull/175776",
           "https://github.com/pytorch/pytorch/pull/173936",
           "https://github.com/pytorch/pytorch/issues/163193",
           "https://github.com/pytorch/pytorch/issues/162692"},
          [](Side side) { return argmax_of_rows(side); },
          {{"a mean of means", "sharded at 3: output 0: element [] is 6.5, expected 5.5",
            [] { return mean_of_all(Side::kBuggy); }},
           {"a number added once a rank", "sharded at 10: output 0: element [] is 65, expected 55",
            [] { return sum_plus_ten(Side::kBuggy); }}},
          /*on_card=*/{},
          run_sharded};
}
SAMEBITS_REPRO(max_dim_indices_of_shard);

}  // namespace samebits
