#include "repro/dtensor_reduce_all_keepdim/repro.h"

#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/library.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include "harness/detect/sharded.h"
#include "harness/dispatch/dispatch_keys.h"
#include "harness/dtensor/dtensor.h"
#include "harness/dtensor/strategies/common.h"
#include "harness/kernels/shape_rule.h"
#include "repro/mechanisms/unchecked_dtensor.h"

namespace samebits {
namespace {

using Tensors = std::vector<at::Tensor>;

// Two reductions, each under two rules:
//   ""         an empty list of dimensions names all of them, as it does for the kernel
//   "of_none"  it names none
TORCH_LIBRARY_FRAGMENT(samebits_repro, m) {
  for (const std::string name : {"amax", "sum"}) {
    for (const std::string overload : {"", ".of_none"}) {
      m.def((name + overload + "(Tensor x, int[1] dim, bool keepdim) -> Tensor").c_str());
    }
  }
  m.def("equals(Tensor x, Tensor number) -> Tensor");  // 1 or 0
}

at::Tensor amax_kernel(const at::Tensor& x, at::IntArrayRef dim, bool keepdim) {
  return x.amax(dim, keepdim);
}

at::Tensor sum_all_kernel(const at::Tensor& x, at::IntArrayRef dim, bool keepdim) {
  return x.sum(dim, keepdim);
}

at::Tensor equals_largest_kernel(const at::Tensor& x, const at::Tensor& number) {
  return x.eq(number).to(x.scalar_type());
}

using Reduction = at::Tensor(const at::Tensor&, at::IntArrayRef, bool);

at::Tensor call_reduction(const char* name, const char* overload, const at::Tensor& x,
                          at::IntArrayRef dim, bool keepdim) {
  return c10::Dispatcher::singleton()
      .findSchemaOrThrow(name, overload)
      .typed<Reduction>()
      .call(x, dim, keepdim);
}

at::Tensor call_amax(const char* overload, const at::Tensor& x, at::IntArrayRef dim, bool keepdim) {
  return call_reduction("samebits_repro::amax", overload, x, dim, keepdim);
}

at::Tensor call_sum(const char* overload, const at::Tensor& x, at::IntArrayRef dim, bool keepdim) {
  return call_reduction("samebits_repro::sum", overload, x, dim, keepdim);
}

at::Tensor call_equals(const at::Tensor& x, const at::Tensor& number) {
  return c10::Dispatcher::singleton()
      .findSchemaOrThrow("samebits_repro::equals", "")
      .typed<at::Tensor(const at::Tensor&, const at::Tensor&)>()
      .call(x, number);
}

// Every rank reduces what it has. The result is called sharded as x is, since no dimension was
// named.
at::Tensor reduced_by_rank(const at::Tensor& x, Reduction* kernel) {
  Tensors results;
  for (const at::Tensor& local : locals_of(x)) results.push_back(kernel(local, {}, true));
  return unchecked_dtensor(spec_of(x), std::vector<int64_t>(x.dim(), 1), std::move(results));
}

bool is_misread(const at::Tensor& x, at::IntArrayRef dim, bool keepdim) {
  return dim.empty() && keepdim && spec_of(x).placement().is_shard();
}

at::Tensor amax_of_none(const at::Tensor& x, at::IntArrayRef dim, bool keepdim) {
  return is_misread(x, dim, keepdim) ? reduced_by_rank(x, amax_kernel)
                                     : call_amax("", x, dim, keepdim);
}

at::Tensor sum_of_none(const at::Tensor& x, at::IntArrayRef dim, bool keepdim) {
  return is_misread(x, dim, keepdim) ? reduced_by_rank(x, sum_all_kernel)
                                     : call_sum("", x, dim, keepdim);
}

TORCH_LIBRARY_IMPL(samebits_repro, CPU, m) {
  for (const std::string overload : {"", ".of_none"}) {
    m.impl(("amax" + overload).c_str(), amax_kernel);
    m.impl(("sum" + overload).c_str(), sum_all_kernel);
  }
  m.impl("equals", equals_largest_kernel);
}

// The handler compares each rank's sizes with the placement and would refuse the result, so the
// rule is a kernel.
TORCH_LIBRARY_IMPL(samebits_repro, Fake, m) {
  static_assert(kDTensorDispatchKey == c10::DispatchKey::Fake);
  m.impl("amax.of_none", amax_of_none);
  m.impl("sum.of_none", sum_of_none);
}

std::vector<TensorMeta> reduction_shape(c10::ArrayRef<c10::IValue> args) {
  const at::Tensor& x = args[0].toTensor();
  return infer_shapes("aten::sum.dim_IntList", {x, args[1], args[2], x.scalar_type()});
}

std::vector<TensorMeta> equals_shape(c10::ArrayRef<c10::IValue> args) {
  const at::Tensor& x = args[0].toTensor();
  return {{x.sym_sizes().vec(), x.scalar_type()}};
}

// The placement of x with the dimensions reduced that `dims` names.
OpSharding over_dims(const OpCall& call, const std::vector<int64_t>& dims) {
  const Placement x = call.placements[0];
  const bool is_reduced =
      x.is_shard() && std::find(dims.begin(), dims.end(), x.dim()) != dims.end();
  if (x.is_partial() || is_reduced) return all_replicate(call, 1);
  if (!x.is_shard() || call.args[2].toBool()) return {{x}, {x}, {}};
  const auto before =
      std::count_if(dims.begin(), dims.end(), [&](int64_t dim) { return dim < x.dim(); });
  return {{x}, {shard(x.dim() - before)}, {}};
}

std::vector<int64_t> named_dims(const OpCall& call) {
  std::vector<int64_t> dims = call.args[1].toIntVector();
  for (int64_t& dim : dims) dim = wrapped_dim(dim, call.args[0].toTensor().dim());
  return dims;
}

OpSharding of_none(const OpCall& call) { return over_dims(call, named_dims(call)); }

OpSharding of_all(const OpCall& call) {
  std::vector<int64_t> dims = named_dims(call);
  if (dims.empty()) {
    dims.resize(static_cast<size_t>(call.args[0].toTensor().dim()));
    std::iota(dims.begin(), dims.end(), 0);
  }
  return over_dims(call, dims);
}

OpSharding beside_number(const OpCall& call) {
  const Placement x = call.placements[0];
  if (x.is_partial()) return all_replicate(call, 1);
  return {{x, replicate()}, {x}, {}};
}

SAMEBITS_SHAPE_RULE("samebits_repro::amax", reduction_shape);
SAMEBITS_SHAPE_RULE("samebits_repro::amax.of_none", reduction_shape);
SAMEBITS_SHAPE_RULE("samebits_repro::sum", reduction_shape);
SAMEBITS_SHAPE_RULE("samebits_repro::sum.of_none", reduction_shape);
SAMEBITS_SHAPE_RULE("samebits_repro::equals", equals_shape);
SAMEBITS_STRATEGY("samebits_repro::amax", of_all);
SAMEBITS_STRATEGY("samebits_repro::amax.of_none", of_none);
SAMEBITS_STRATEGY("samebits_repro::sum", of_all);
SAMEBITS_STRATEGY("samebits_repro::sum.of_none", of_none);
SAMEBITS_STRATEGY("samebits_repro::equals", beside_number);

const char* overload_of(Side side) { return side == Side::kBuggy ? "of_none" : ""; }

Subject of_rows(Program program) {
  constexpr int64_t kRanks = 2;
  const auto mesh = make_local_mesh(kRanks);
  Subject subject;
  subject.program = std::move(program);
  subject.dims = {{0, 0, "s", 1}};
  subject.inputs = [mesh](int64_t s) {
    const at::Tensor whole = at::arange(1, 2 * s + 1, at::kFloat).view({s, 2});
    return Tensors{distribute_tensor(whole, mesh, Placement::shard(0))};
  };
  subject.hint = 4;
  subject.sizes = sizes_to_try(kRanks);
  return subject;
}

}  // namespace

Subject largest_kept(Side side) {
  const char* overload = overload_of(side);
  return of_rows([overload](const Tensors& in) {
    return Tensors{call_amax(overload, in[0], {}, /*keepdim=*/true)};
  });
}

Subject sum_kept(Side side) {
  const char* overload = overload_of(side);
  return of_rows([overload](const Tensors& in) {
    return Tensors{call_sum(overload, in[0], {}, /*keepdim=*/true)};
  });
}

Subject gradient_of_largest(Side side) {
  const char* overload = overload_of(side);
  return of_rows([overload](const Tensors& in) {
    const at::Tensor largest = call_amax(overload, in[0], {0, 1}, /*keepdim=*/false);
    const at::Tensor mask = call_equals(in[0], largest);
    return Tensors{mask.div(call_sum(overload, mask, {}, /*keepdim=*/true))};
  });
}

Repro dtensor_reduce_all_keepdim() {
  return {"dtensor_reduce_all_keepdim",
          "an empty list of dimensions, which means all, is taken for none: ranks reduce their own",
          /*is_silent=*/true,
          /*symptom=*/"sharded at 4: output 0: element [0, 0] is 4, expected 8",
          {"https://github.com/pytorch/pytorch/pull/83357"},
          largest_kept,
          {{"a sum", "sharded at 4: output 0: element [0, 0] is 10, expected 36",
            [] { return sum_kept(Side::kBuggy); }},
           {"the gradient of the largest",
            "sharded at 4: output 0: element [0, 0] is nan, expected 0; 8 of 8 differ",
            [] { return gradient_of_largest(Side::kBuggy); }}},
          /*on_card=*/{},
          run_sharded};
}
SAMEBITS_REPRO(dtensor_reduce_all_keepdim);

}  // namespace samebits
