#pragma once

#include "repro/catalogue/catalogue.h"

namespace samebits {

// Where a decode step has from how many keys there are.
enum class PlannedLengths {
  kEachForward,  // a plan that every forward makes from the step's lengths
  kOnceAStep,    // a plan that the step's first forward makes, and later ones find
  kOfTheHost     // a number that the host knows when the step begins
};

// vllm#42444: one token, bfloat16 [1, 1, 2, 16], attends to the first s of 32 cached keys. No size
// depends on s: only the step's lengths, an input, do.
Subject decode_at_length(PlannedLengths lengths, c10::Device device = c10::kCPU);

Repro metadata_baked_at_capture();

}  // namespace samebits
