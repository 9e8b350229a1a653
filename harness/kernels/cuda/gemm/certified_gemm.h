#pragma once

#include <string>

#include "harness/kernels/cuda/gemm/launchers.h"

namespace samebits::cuda {

// cuBLASLt where it keeps the contract of linear.h: its algorithms that do not split k run the same
// chain on the same tensor cores, but for the bits of a NaN in bf16, which are mended after it.
// None is trusted for that. The first time that a process meets a product (card, sizes, strides,
// dtype), the algorithms that the library offers for it are run on hostile operands beside gemm(),
// which the tests hold against the CPU; those that give the same bytes are certified, and the
// fastest of all, gemm() included, serves the product from then on.
//
// A file saves later processes that search, not the proof: an algorithm that it remembers for the
// card, the version of the library and the product is built from its attributes and serves only
// after it has given gemm()'s bytes here, in one run. Where it does not, or gemm()'s result on
// those operands is not the one whose digest the file has, the search is made again.
//
// Runs `call` and returns true, or false where gemm() has to: no bf16 operands, slices, a product
// too small to be worth it, memory or strides less aligned than the library wants, no certified
// algorithm, or a product first met while a graph is captured, when nothing can be tried. Which of
// the two runs decides speed alone. Throws as add_certificate() does where there is a file.
bool certified_gemm(const Gemm& call, cudaStream_t stream);

// Begins anew with what `file` remembers (certificate_file.h), and adds to it what is certified
// from now on; "": no file. Throws InputError for a file that is there and is none.
void use_certificates(const std::string& file);

}  // namespace samebits::cuda
