#pragma once

#include "repro/catalogue/catalogue.h"

namespace samebits {

// sglang#37606: float32 [s, 16], doubled, at 8, 4 and 2 rows in graphs of one pool, whose outputs
// are read after all have run.
Subject doubled_in_one_pool(HeldOutputs outputs, c10::Device device = c10::kCPU);

// Megatron-LM#3970: the same, given out as memory that was allocated outside the pool.
Subject doubled_outside_the_pool();

Repro weak_ref_shared_pool_reuse();

}  // namespace samebits
