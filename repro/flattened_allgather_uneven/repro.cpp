#include "repro/flattened_allgather_uneven/repro.h"

#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/library.h>

#include <utility>

#include "harness/detect/sharded.h"
#include "harness/dispatch/dispatch_keys.h"
#include "harness/dtensor/dtensor.h"
#include "harness/dtensor/strategies/common.h"
#include "harness/kernels/shape_rule.h"

namespace samebits {
namespace {

using Tensors = std::vector<at::Tensor>;

constexpr int64_t kMeshSide = 2;  // of the mesh
constexpr int64_t kMeshRanks = kMeshSide * kMeshSide;

// A DTensor is laid over a 2 x 2 mesh, rows split by the outer dimension and then by the inner one,
// and gathered again. Of a plain tensor a copy.
//   ""      by two gathers, the inner dimension's first
//   "flat"  by one over all four ranks
TORCH_LIBRARY_FRAGMENT(samebits_repro, m) {
  m.def("over_two_by_two(Tensor x) -> Tensor");
  m.def("over_two_by_two.flat(Tensor x) -> Tensor");
}

at::Tensor over_mesh_copy(const at::Tensor& x) { return x.clone(); }

at::Tensor share_of(const at::Tensor& rows, int64_t n, int64_t rank) {
  const ShardRange range = shard_range(rows.size(0), n, rank);
  return rows.narrow(0, range.offset, range.size);
}

// By rank: 2, 1, 1, 1 rows of five. A flat split has 2, 2, 1, 0.
Tensors nested_shares(const at::Tensor& whole) {
  Tensors shares;
  for (int64_t rank = 0; rank < kMeshRanks; ++rank) {
    shares.push_back(
        share_of(share_of(whole, kMeshSide, rank / kMeshSide), kMeshSide, rank % kMeshSide));
  }
  return shares;
}

at::Tensor gathered(const Tensors& shares, int64_t rows) {
  const auto mesh = make_local_mesh(static_cast<int64_t>(shares.size()));
  return mesh->communicator().all_gather(shares, /*dim=*/0, rows)[0];
}

at::Tensor nested_gather(const Tensors& shares, int64_t rows) {
  Tensors halves;
  for (int64_t outer = 0; outer < kMeshSide; ++outer) {
    halves.push_back(gathered({shares[outer * kMeshSide], shares[outer * kMeshSide + 1]},
                              shard_range(rows, kMeshSide, outer).size));
  }
  return gathered(halves, rows);
}

// Every rank pads its rows to a flat chunk; of each chunk as many are kept as a flat split has.
at::Tensor flat_gather(const Tensors& shares, int64_t rows) {
  Tensors kept;
  for (int64_t rank = 0; rank < kMeshRanks; ++rank) {
    const at::Tensor& share = shares[rank];
    std::vector<int64_t> sizes = share.sizes().vec();
    sizes[0] = shard_range(rows, kMeshRanks, 0).size;
    const at::Tensor padded = at::zeros(sizes, share.options());
    padded.narrow(0, 0, share.size(0)).copy_(share);
    kept.push_back(padded.narrow(0, 0, shard_range(rows, kMeshRanks, rank).size));
  }
  return gathered(kept, rows);
}

at::Tensor over_mesh(const at::Tensor& x, at::Tensor (*gather)(const Tensors&, int64_t)) {
  const auto mesh = spec_of(x).mesh;
  TORCH_CHECK(mesh->size() == kMeshRanks, "over_two_by_two: found ", mesh->size(), " ranks, expected ",
              kMeshRanks);
  const at::Tensor whole = gather(nested_shares(whole_of(x)), x.size(0));
  Tensors locals;
  for (size_t i = 0; i < mesh->hosted_ranks().size(); ++i) locals.push_back(whole.clone());
  return make_dtensor({mesh, replicate()}, x.sym_sizes(), x.scalar_type(), std::move(locals));
}

TORCH_LIBRARY_IMPL(samebits_repro, CPU, m) {
  m.impl("over_two_by_two", over_mesh_copy);
  m.impl("over_two_by_two.flat", over_mesh_copy);
}

TORCH_LIBRARY_IMPL(samebits_repro, Fake, m) {
  static_assert(kDTensorDispatchKey == c10::DispatchKey::Fake);
  m.impl("over_two_by_two", [](const at::Tensor& x) { return over_mesh(x, nested_gather); });
  m.impl("over_two_by_two.flat", [](const at::Tensor& x) { return over_mesh(x, flat_gather); });
}

std::vector<TensorMeta> over_mesh_shape(c10::ArrayRef<c10::IValue> args) {
  const at::Tensor& x = args[0].toTensor();
  return {{x.sym_sizes().vec(), x.scalar_type()}};
}

OpSharding over_mesh_placement(const OpCall& call) { return {call.placements, {replicate()}, {}}; }

SAMEBITS_SHAPE_RULE("samebits_repro::over_two_by_two", over_mesh_shape);
SAMEBITS_SHAPE_RULE("samebits_repro::over_two_by_two.flat", over_mesh_shape);
SAMEBITS_STRATEGY("samebits_repro::over_two_by_two", over_mesh_placement);
SAMEBITS_STRATEGY("samebits_repro::over_two_by_two.flat", over_mesh_placement);

at::Tensor call_over_two_by_two(const at::Tensor& x, const char* overload) {
  return c10::Dispatcher::singleton()
      .findSchemaOrThrow("samebits_repro::over_two_by_two", overload)
      .typed<at::Tensor(const at::Tensor&)>()
      .call(x);
}

}  // namespace

Subject over_two_by_two(Side side) {
  constexpr int64_t kColumns = 3;
  const auto mesh = make_local_mesh(kMeshRanks);
  const char* overload = side == Side::kBuggy ? "flat" : "";
  Subject subject;
  subject.program = [overload](const Tensors& in) {
    return Tensors{call_over_two_by_two(in[0], overload)};
  };
  subject.dims = {{0, 0, "s", 0}};
  subject.inputs = [mesh](int64_t s) {
    const at::Tensor whole = at::arange(1, s * kColumns + 1, at::kFloat).view({s, kColumns});
    return Tensors{distribute_tensor(whole, mesh, Placement::replicate())};
  };
  subject.hint = 5;
  subject.sizes = sizes_to_try(kMeshRanks);
  return subject;
}

Repro flattened_allgather_uneven() {
  return {"flattened_allgather_uneven",
          "one flat all-gather in place of two nested ones: padding inside, the last row lost",
          /*is_silent=*/true,
          /*symptom=*/"sharded at 5: output 0: element [3, 0] is 0, expected 10; 6 of 15 differ",
          {"https://github.com/pytorch/pytorch/issues/194457",
           "https://github.com/pytorch/pytorch/pull/172610"},
          [](Side side) { return over_two_by_two(side); },
          /*also=*/{},
          /*on_card=*/{},
          run_sharded};
}
SAMEBITS_REPRO(flattened_allgather_uneven);

}  // namespace samebits
