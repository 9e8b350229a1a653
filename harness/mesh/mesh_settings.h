#pragma once

#include <cstdint>
#include <string>

#include "harness/base/names.h"

namespace samebits {

// What an all-gather of a shard is taken to hold (dtensor/dtensor.h, redistribute). kConsumer is
// kConditional, and whoever takes a gathered activation narrows it (model/tensor_parallel.h).
enum class GatheredSize { kNarrow, kConditional, kConsumer };

inline const Names<GatheredSize>& names_of(GatheredSize) {
  static const Names<GatheredSize> names = {{"narrow", GatheredSize::kNarrow},
                                            {"conditional", GatheredSize::kConditional},
                                            {"consumer", GatheredSize::kConsumer}};
  return names;
}

// Whether one process hosts all ranks, or each is a process of its own, and what connects them:
// memory that they share and Gloo (CPUs) or NCCL (a card a rank). Never decides a bit.
enum class MeshKind { kLocal, kGloo, kNccl };

inline const Names<MeshKind>& names_of(MeshKind) {
  static const Names<MeshKind> names = {
      {"local", MeshKind::kLocal}, {"gloo", MeshKind::kGloo}, {"nccl", MeshKind::kNccl}};
  return names;
}

// What replicas in processes keep of master weights and moments: each all of them, or each its
// share.
enum class OptimizerState { kWhole, kSharded };

inline const Names<OptimizerState>& names_of(OptimizerState) {
  static const Names<OptimizerState> names = {{"whole", OptimizerState::kWhole},
                                              {"sharded", OptimizerState::kSharded}};
  return names;
}

struct MeshSettings {
  MeshKind kind = MeshKind::kLocal;
  int64_t tp = 1;
  int64_t dp = 1;  // replicas
  OptimizerState optimizer_state = OptimizerState::kWhole;
  GatheredSize gathered_size = GatheredSize::kNarrow;

  int64_t ranks() const { return tp * dp; }
  // Into which the sequences of a step are dealt: one process does those of all its replicas.
  int64_t shares() const { return has_processes() ? dp : 1; }
  // Which write streams of their own.
  int64_t processes() const { return has_processes() ? ranks() : 1; }
  bool has_processes() const { return kind != MeshKind::kLocal; }
  bool shards_optimizer() const {
    return shares() > 1 && optimizer_state == OptimizerState::kSharded;
  }
};

}  // namespace samebits
