#pragma once

#include "repro/catalogue/catalogue.h"

namespace samebits {

// When the table of a rotary embedding gets its length.
enum class TableGrowth {
  kInForward,      // forward reads the largest position and grows the table to hold it
  kBeforeForward,  // whoever makes the positions grows it: no read in forward
  kNever,          // it has its full length from the beginning
};

// torchtitan#2119, #2486. The program rotates [1, s, 2, 8] by positions 0, 1, ... s - 1.
Subject rope_with_table(TableGrowth growth, c10::Device device = c10::kCPU);

Repro rope_cache_grow_in_forward();

}  // namespace samebits
