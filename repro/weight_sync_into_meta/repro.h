#pragma once

#include "repro/catalogue/catalogue.h"

namespace samebits {

// The fault of the loop behind pytorch/torchtitan#2393: new weights are copied into meta tensors.

enum class SyncInto {
  kMeta,     // the parameters, while a reload has made them meta tensors
  kWeights,  // the memory that the generator reads
};

// A generator's layer after each step of a trainer, which is its reference: both have the same
// weights where the sync brings them over.
Subject generator_after_sync(SyncInto into);

Repro weight_sync_into_meta();

}  // namespace samebits
