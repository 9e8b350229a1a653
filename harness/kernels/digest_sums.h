#pragma once

// What an observation is made of, where the tensor lies.
//
//   digest_sums(x) -> int64 [2]
//
// The two sums of bits/digest_mix.h over the raw bits of x, row by row: finish_digest
// (bits/digest.h) makes x's digest of them. Integers added modulo 2^64, so the order does not
// matter and a card adds in parallel; nothing waits for the result. It has no gradient.

#include <ATen/core/Tensor.h>

namespace samebits::cpu {

// The CPU kernel behind the operator.
at::Tensor digest_sums(const at::Tensor& x);

}  // namespace samebits::cpu
