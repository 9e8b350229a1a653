#include "repro/tree_sum_depends_on_count/repro.h"

#include <ATen/ATen.h>
#include <torch/library.h>

#include <utility>

#include "harness/kernels/shape_rule.h"

namespace samebits {
namespace {

using Tensors = std::vector<at::Tensor>;

at::Tensor sum_tiles(const at::Tensor& tiles, int64_t order) {
  const int64_t count = tiles.size(0);
  const ReductionTree tree = static_cast<TileOrder>(order) == TileOrder::kPairs
                                 ? pairwise_tree(count)
                                 : chains_in_a_tree(count);
  return tree.sum(tiles.unbind(0)).clone();
}

std::vector<TensorMeta> without_tiles(c10::ArrayRef<c10::IValue> args) {
  const at::Tensor& tiles = args[0].toTensor();
  return {{tiles.sym_sizes().slice(1).vec(), tiles.scalar_type()}};
}

TORCH_LIBRARY_FRAGMENT(samebits_repro, m) { m.def("sum_tiles(Tensor tiles, int order) -> Tensor"); }
TORCH_LIBRARY_IMPL(samebits_repro, CPU, m) { m.impl("sum_tiles", sum_tiles); }

SAMEBITS_SHAPE_RULE("samebits_repro::sum_tiles", without_tiles);

Program product_in(TileOrder order) {
  return [order](const Tensors& in) {
    const at::Tensor product = c10::Dispatcher::singleton()
                                   .findSchemaOrThrow("samebits_repro::sum_tiles", "")
                                   .typed<at::Tensor(const at::Tensor&, int64_t)>()
                                   .call(in[0], static_cast<int64_t>(order));
    return Tensors{in[1].add(product)};
  };
}

// The tree with leaf i replaced by the i-th of `leaves`.
ReductionTree grafted(const ReductionTree& tree, const std::vector<ReductionTree>& leaves) {
  if (tree.halves.empty()) return leaves.at(static_cast<size_t>(tree.rank));
  return {0, {grafted(tree.halves[0], leaves), grafted(tree.halves[1], leaves)}};
}

ReductionTree chain_of(int64_t first, int64_t length) {
  ReductionTree chain{first, {}};
  for (int64_t i = 1; i < length; ++i) chain = {0, {std::move(chain), {first + i, {}}}};
  return chain;
}

}  // namespace

ReductionTree chains_in_a_tree(int64_t tiles) {
  int64_t length = tiles;
  while (length > 2 && length % 2 == 0) length /= 2;
  std::vector<ReductionTree> chains;
  for (int64_t first = 0; first < tiles; first += length) chains.push_back(chain_of(first, length));
  return grafted(pairwise_tree(static_cast<int64_t>(chains.size())), chains);
}

Subject summed_tiles(TileOrder trainers) {
  Subject subject;
  subject.program = product_in(trainers);
  subject.reference = product_in(TileOrder::kChainsInATree);
  subject.dims = {{0, 0, "s", 1}};
  subject.inputs = [](int64_t size) {
    const Tensors tiles = ill_conditioned_contributions(size);
    return Tensors{at::stack(tiles).unsqueeze(1), at::ones({1, tiles[0].numel()}, at::kBFloat16)};
  };
  subject.hint = 38;
  subject.sizes = {1, 2, 3, 4, 8, 16, 32, 38};
  return subject;
}

Repro tree_sum_depends_on_count() {
  return {
      "tree_sum_depends_on_count",
      "two sides sum the tiles of a product in trees that are one only for powers of two",
      /*is_silent=*/true,
      /*symptom=*/"at 38: output 0 has other bits than the reference's",
      {"https://github.com/radixark/Megatron-LM/pull/65",
       "https://github.com/radixark/miles/issues/1485",
       "https://github.com/radixark/Megatron-LM/pull/29"},
      [](Side side) {
        return summed_tiles(side == Side::kBuggy ? TileOrder::kPairs : TileOrder::kChainsInATree);
      },
      /*also=*/{},
      /*on_card=*/{},
      run_with_reference};
}
SAMEBITS_REPRO(tree_sum_depends_on_count);

}  // namespace samebits
