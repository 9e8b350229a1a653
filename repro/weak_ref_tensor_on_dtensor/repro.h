#pragma once

#include "repro/catalogue.h"

namespace samebits {

// vllm#9724, torchtitan#2393: an operator that makes a tensor from a pointer is called on a
// DTensor, whose wrapper has none.
Repro weak_ref_tensor_on_dtensor();

}  // namespace samebits
