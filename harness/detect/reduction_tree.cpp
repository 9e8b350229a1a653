#include "harness/detect/reduction_tree.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <utility>

namespace samebits {
namespace {

constexpr int64_t kIllConditionedColumns = 64;

ReductionTree leaf_of(int64_t rank) { return {rank, {}}; }

ReductionTree sum_of(ReductionTree a, ReductionTree b) { return {0, {std::move(a), std::move(b)}}; }

// The tree with one more leaf, beside any of its subtrees.
std::vector<ReductionTree> with_leaf(const ReductionTree& tree, const ReductionTree& leaf) {
  std::vector<ReductionTree> grown{sum_of(tree, leaf)};
  if (tree.halves.empty()) return grown;
  for (ReductionTree& half : with_leaf(tree.halves[0], leaf)) {
    grown.push_back(sum_of(std::move(half), tree.halves[1]));
  }
  for (ReductionTree& half : with_leaf(tree.halves[1], leaf)) {
    grown.push_back(sum_of(tree.halves[0], std::move(half)));
  }
  return grown;
}

}  // namespace

std::string ReductionTree::str() const {
  if (halves.empty()) return fmt::format("r{}", rank);
  return fmt::format("({} + {})", halves[0].str(), halves[1].str());
}

at::Tensor ReductionTree::sum(const std::vector<at::Tensor>& contributions) const {
  if (halves.empty()) return contributions.at(static_cast<size_t>(rank));
  return at::add(halves[0].sum(contributions), halves[1].sum(contributions));
}

ReductionTree pairwise_tree(int64_t ranks) {
  std::vector<ReductionTree> trees;
  for (int64_t rank = 0; rank < ranks; ++rank) trees.push_back(leaf_of(rank));
  while (trees.size() > 1) {
    std::vector<ReductionTree> sums;
    for (size_t i = 0; i + 1 < trees.size(); i += 2) sums.push_back(sum_of(trees[i], trees[i + 1]));
    if (trees.size() % 2 == 1) sums.push_back(trees.back());
    trees = std::move(sums);
  }
  return trees[0];
}

ReductionTree chain_from(int64_t first, int64_t ranks) {
  ReductionTree chain = leaf_of(first);
  for (int64_t i = 1; i < ranks; ++i)
    chain = sum_of(std::move(chain), leaf_of((first + i) % ranks));
  return chain;
}

std::vector<ReductionTree> all_reduction_trees(int64_t ranks) {
  std::vector<ReductionTree> trees{leaf_of(0)};
  for (int64_t rank = 1; rank < ranks; ++rank) {
    std::vector<ReductionTree> grown;
    for (const ReductionTree& tree : trees) {
      for (ReductionTree& each : with_leaf(tree, leaf_of(rank))) grown.push_back(std::move(each));
    }
    trees = std::move(grown);
  }
  return trees;
}

std::vector<at::Tensor> ill_conditioned_contributions(int64_t ranks) {
  // In bfloat16 the small ones vanish beside a large one, and add up where they meet first.
  const at::Tensor values =
      at::tensor({256., 1., -1.25, 1.5, -256., 3., 0.75, 1.75, 300., -1.5, 0.6875, -300.})
          .to(at::kBFloat16);
  // Digits of a linear congruential sequence: no two columns alike, and no rank special.
  uint64_t state = 1;
  std::vector<at::Tensor> row;
  for (int64_t rank = 0; rank < ranks; ++rank) {
    std::vector<int64_t> picked;
    for (int64_t column = 0; column < kIllConditionedColumns; ++column) {
      state = state * 6364136223846793005U + 1442695040888963407U;
      picked.push_back(
          static_cast<int64_t>((state >> 33U) % static_cast<uint64_t>(values.numel())));
    }
    row.push_back(values.index_select(0, at::tensor(picked, at::kLong)));
  }
  return row;
}

}  // namespace samebits
