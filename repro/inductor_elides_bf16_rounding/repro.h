#pragma once

#include "repro/catalogue/catalogue.h"

namespace samebits {

// How a compiler computes a fused chain of bfloat16 operators, in float32.
enum class FusedRounding {
  kAtEnd,    // rounds what leaves the chain
  kEachStep  // rounds what each operator gives, as eager does
};

// pytorch#183122: rotate-half RoPE of q bfloat16 [2, 3, s, 8] by cos and sin [2, s, 8], compiled;
// its reference is eager.
Subject fused_rope(FusedRounding rounding);

Repro inductor_elides_bf16_rounding();

}  // namespace samebits
