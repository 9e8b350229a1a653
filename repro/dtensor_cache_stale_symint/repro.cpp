#include "repro/dtensor_cache_stale_symint/repro.h"

#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/library.h>

#include <memory>

#include "harness/dtensor/dtensor.h"
#include "harness/dtensor/strategies/common.h"
#include "repro/dtensor_cache_stale_symint/spec_cache.h"

namespace samebits {
namespace {

using Tensors = std::vector<at::Tensor>;

// aten::expand, propagated by way of the cache that is lent, if one is.
TORCH_LIBRARY_FRAGMENT(samebits_repro, m) {
  m.def("expand(Tensor(a) x, SymInt[] size) -> Tensor(a)");
}

at::Tensor expand_kernel(const at::Tensor& x, c10::SymIntArrayRef size) {
  return x.expand_symint(size);
}

TORCH_LIBRARY_IMPL(samebits_repro, CPU, m) { m.impl("expand", expand_kernel); }

std::vector<TensorMeta> expand_shape(c10::ArrayRef<c10::IValue> args) {
  SpecCache* cache = SpecCacheGuard::current();
  const c10::IValue implicit = false;
  const std::vector<c10::IValue> aten_args{args[0], args[1], implicit};
  return cache ? cache->find_or_infer("aten::expand", aten_args)
               : infer_shapes("aten::expand", aten_args);
}

OpSharding expand(const OpCall& call) { return all_replicate(call, 1); }

SAMEBITS_SHAPE_RULE("samebits_repro::expand", expand_shape);
SAMEBITS_STRATEGY("samebits_repro::expand", expand);

at::Tensor call_expand(const at::Tensor& x, c10::SymIntArrayRef size) {
  static const auto op = c10::Dispatcher::singleton()
                             .findSchemaOrThrow("samebits_repro::expand", "")
                             .typed<at::Tensor(const at::Tensor&, c10::SymIntArrayRef)>();
  return op.call(x, size);
}

}  // namespace

Subject expanded_gradient(Side side) {
  constexpr int64_t kRanks = 2;
  constexpr int64_t kColumns = 8;
  const auto mesh = make_local_mesh(kRanks);
  const auto cache = std::make_shared<SpecCache>(
      side == Side::kBuggy ? SpecCache::Symbols::kByName : SpecCache::Symbols::kNotKept);
  Subject subject;
  subject.program = [cache](const Tensors& in) {
    const SpecCacheGuard guard(*cache);
    const c10::SymInt rows = in[0].sym_size(0);
    const at::Tensor product = in[0] * call_expand(in[1], {rows, kColumns});
    return Tensors{product.view_symint({rows * 2, kColumns / 2})};
  };
  subject.dims = {{0, 0, "s", 1}};
  subject.inputs = [mesh](int64_t size) {
    const at::Tensor x = at::arange(size * kColumns, at::kFloat).view({size, kColumns});
    return Tensors{distribute_tensor(x, mesh, Placement::shard(0)),
                   distribute_tensor(at::tensor(3.F), mesh, Placement::replicate())};
  };
  subject.hint = 6;
  subject.sizes = sizes_to_try(kRanks);
  subject.guards = GuardPolicy::kKeep;
  return subject;
}

Repro dtensor_cache_stale_symint() {
  return {"dtensor_cache_stale_symint",
          "a sharding cache gives the size of one trace, a symbol, to the next trace",
          /*is_silent=*/false,
          /*symptom=*/"traced at 6, served at 1: a symbolic size of another trace: s",
          {"https://github.com/pytorch/pytorch/issues/183021",
           "https://github.com/pytorch/pytorch/pull/183246"},
          [](Side side) { return expanded_gradient(side); }};
}
SAMEBITS_REPRO(dtensor_cache_stale_symint);

}  // namespace samebits
