#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "harness/bits/dtype.h"
#include "harness/graph/replay_digests.h"
#include "harness/mesh/device_mesh.h"
#include "harness/observe/observation.h"

namespace samebits {

// Our name of a LibTorch element type. Throws c10::Error for one that is never observed.
Dtype dtype_from_scalar_type(at::ScalarType type);

// An observation whose digest may still be under way on a card.
struct UnreadObservation {
  Observation observation;  // complete, or without its digest
  // int64 [digests, 2]: digest_sums of the tensor, or of each hosted rank's copy of a Replicate;
  // undefined where the observation is complete.
  at::Tensor sums;
  at::Tensor nonfinite;  // int64 []: how many elements are NaN or infinite; defined as `sums` is
  // Both are of this rank's shard: those of the mesh's other ranks, in other processes, are added
  // when it is read. Otherwise null.
  c10::intrusive_ptr<DeviceMesh> mesh = {};
};

// Observes a tensor of any layout; one on a card is digested there, and nothing waits for it unless
// it is a scalar. A DTensor is seen whole, so that arms of different TP degrees can be compared:
// pending sums are reduced, shards gathered.
UnreadObservation begin_observation(int64_t step, std::string phase, int64_t rank, std::string site,
                                    const at::Tensor& value);

// What a replay digested of its own marks: an observation each.
struct UnreadReplay {
  int64_t step = 0;
  std::string phase;
  int64_t rank = 0;
  ReplayDigests digests;
};

using Unread = std::variant<UnreadObservation, UnreadReplay>;

// Bytes that it takes until it is read, on the host and on a card; the same on every rank of a mesh.
int64_t held_bytes(const Unread& unread);

// Whether reading it is collective over the mesh that it lies over.
bool needs_other_ranks(const Unread& unread);

// Reads all digests at once, in the order given. All ranks of a mesh read the same.
std::vector<Observation> read_observations(std::vector<Unread> unread);

}  // namespace samebits
