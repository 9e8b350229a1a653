#pragma once

#include <vector>

#include "harness/dtensor/propagate.h"

// What the strategies share. A strategy reads as a table: which placements of the inputs are taken
// as they are, and what becomes of the rest (almost always: gathered to Replicate).
namespace samebits {

// The dimension of heads in [1, T, H, D], [blocks, block_size, G, D] and lse [1, T, H].
constexpr int64_t kHeads = 2;

inline Placement replicate() { return Placement::replicate(); }
inline Placement partial() { return Placement::partial(); }
inline Placement shard(int64_t dim) { return Placement::shard(dim); }

// Every input and each of `outputs` outputs has this one placement.
inline OpSharding uniform(const OpCall& call, Placement placement, size_t outputs) {
  return {std::vector<Placement>(call.placements.size(), placement),
          std::vector<Placement>(outputs, placement),
          {}};
}

inline OpSharding all_replicate(const OpCall& call, size_t outputs) {
  return uniform(call, replicate(), outputs);
}

// Where the last tensor lies: what a gradient is added to (kernels/step_gradient.h).
Placement placement_of_sum(const OpCall& call);

// A dimension argument, counted from the front.
int64_t wrapped_dim(const c10::IValue& dim, int64_t rank);

// The indices of one rank of a sharded dimension, as plain numbers.
struct ShardRange {
  int64_t offset;
  int64_t size;
};
ShardRange shard_range(const c10::SymInt& size, int64_t n, int64_t rank);

// Whether every rank holds the same number of indices and no shard cuts a group of size / n. Adds a
// guard where the size is symbolic.
bool is_even(const c10::SymInt& size, int64_t n);

// Replaces argument `arg` (a list of sizes) on every rank by `sizes` with the rank's share of
// dimension `dim`. For views and factories.
std::function<void(int64_t, std::vector<c10::IValue>&)> localize_sizes(
    size_t arg, std::vector<c10::SymInt> sizes, int64_t dim, int64_t n);

// The strides of a contiguous tensor of these (concrete) sizes.
std::vector<int64_t> contiguous_strides(c10::SymIntArrayRef sizes);

}  // namespace samebits
