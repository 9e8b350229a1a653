#pragma once

#include "harness/kernels/cuda/launchers.h"

namespace samebits::cuda {

// cuBLASLt where it keeps the contract of linear.h: its algorithms that do not split k run the same
// chain on the same tensor cores, but for the bits of a NaN in bf16, which are mended after it.
// None is trusted for that. The first time that a shape is met, the algorithms that the library
// offers for it are run on hostile operands beside gemm(), which the tests hold against the CPU;
// those that give the same bytes are certified for the shape, and the fastest of all, gemm()
// included, serves it from then on, in this process.
//
// Runs `call` and returns true, or false where gemm() has to: no bf16 operands, slices, a shape too
// small to be worth it, strides that the library cannot copy 16 bytes at, no certified algorithm,
// or a shape first met while a graph is captured, when nothing can be tried. Which of the two runs
// decides speed alone.
bool certified_gemm(const Gemm& call, cudaStream_t stream);

}  // namespace samebits::cuda
