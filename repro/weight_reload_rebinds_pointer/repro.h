#pragma once

#include "repro/catalogue/catalogue.h"

namespace samebits {

// How new weights reach a generator whose graphs hold the old ones by address.
enum class Reload {
  kCopy,             // into the tensors that are there, into those derived of them too
  kRebind,           // new tensors take their place; somebody else still holds the old ones
  kRebindAndFree,    // the same, and nobody does
  kRebuildTheirCopy  // into the weight, but what is derived of it is made anew
};

// vllm#48941, vllm-ascend#7473: float32 [s, 8] times a weight [16, 8], and back by its transposed
// copy, which was made once. Before each request a step of training ends in a reload.
Subject reloaded_weight(Reload reload, c10::Device device = c10::kCPU);

Repro weight_reload_rebinds_pointer();

}  // namespace samebits
