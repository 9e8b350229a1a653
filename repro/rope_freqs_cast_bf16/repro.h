#pragma once

#include "repro/catalogue/catalogue.h"

namespace samebits {

// What a mixed-precision boundary casts to bfloat16 and back on its way into the rotation.
enum class CastToBf16 {
  kNothing,
  kTable,     // cos and sin, made in float32
  kPositions  // what cos and sin are looked up by
};

// torchtitan#2881: float32 [1, s, 2, 128] rotated at the first s of the positions 1, 256, 257,
// 4095, 32767, 15962 and 8191, base 1e6, in the trainer; its reference is the generator, which has
// no boundary.
Subject rope_behind_boundary(CastToBf16 cast);

Repro rope_freqs_cast_bf16();

}  // namespace samebits
