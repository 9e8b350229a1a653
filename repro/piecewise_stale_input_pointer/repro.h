#pragma once

#include "repro/catalogue/catalogue.h"

namespace samebits {

// What the operator between two captured pieces does with its result.
enum class SplitOutput {
  kFresh,   // returns a new tensor, which is somewhere else at every step
  kBuffer,  // writes it to memory of the piece before, as vLLM's attention does
};

// vllm#37363: float32 [s, 8] with a residual around a matrix product, at which the graph is split.
// `results`: whether what the product returns is copied to where the next piece expects it.
Subject split_product(SplitOutput output, SplitResults results, c10::Device device = c10::kCPU);

Repro piecewise_stale_input_pointer();

}  // namespace samebits
