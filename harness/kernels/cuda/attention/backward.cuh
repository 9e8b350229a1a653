#pragma once

// What the kernels of attention's gradients in bf16 share.

#include "harness/kernels/cuda/attention/launchers.h"

namespace samebits::cuda {

struct BackwardTensors {
  const uint16_t* dout;
  const uint16_t* q;
  const uint16_t* k;
  const uint16_t* v;
  const float* lse;    // [tokens, H]
  const float* delta;  // [tokens, H]
  uint16_t* dq;
  uint16_t* dk;
  uint16_t* dv;
};

// ---- backward_wide.cu: heads that the copy engine brings -----------------------------------
bool is_wide(const Attention& size, const BackwardTensors& t);
void wide_gradients(const Attention& size, const BackwardTensors& t, cudaStream_t stream);

}  // namespace samebits::cuda
