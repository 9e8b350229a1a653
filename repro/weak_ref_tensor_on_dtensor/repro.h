#pragma once

#include <string>

#include "harness/dtensor/placement.h"
#include "repro/catalogue/catalogue.h"

namespace samebits {

// vllm#9724, torchtitan#2393: an operator that makes a tensor from a pointer is called on a
// DTensor, whose wrapper has none. The overloads are those of repro/mechanisms/weak_ref.h.

// A reference to a DTensor [s, 1024] over two ranks, Shard(0) or Partial, handed out unread.
Subject reference_handed_out(const std::string& overload, Placement placement);

// Twice a tensor by a reference to it, before and after one is added to it: the difference, and the
// tensor.
Subject read_around_a_write(const std::string& overload);

// The buckets of vllm#9724's example, 4, 3, 2 and 1 units of 1024 numbers captured in one pool,
// whose outputs somebody owns (strong references) or knows by address (weak ones).
Subject buckets_of_units(HeldOutputs outputs);

Repro weak_ref_tensor_on_dtensor();

}  // namespace samebits
