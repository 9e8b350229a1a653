#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>

#include <optional>
#include <string>
#include <vector>

#include "harness/detect/subject.h"

// Sharded against whole: a program or an operator over DTensors must give what it gives on the
// gathered tensors.
namespace samebits {

// A plain tensor itself, or a DTensor gathered, as a copy.
at::Tensor whole_of(const at::Tensor& tensor);

// The same of an operator's argument; lists of tensors by element, all else as it is.
c10::IValue whole_of(const c10::IValue& argument);

// In what a result over DTensors is not the one over whole tensors: dtype, sizes or elements, those
// of every rank where it is replicated. "element [0, 2] is 8, expected 2; 92 of 96 differ".
// Elements are compared by their bits, except
//   - two NaNs, which are equal
//   - a pending floating-point sum, P(sum): its order is not the whole's. An element may be off by
//     1/64 of the sum of its summands' magnitudes, more than any order rounds in bfloat16 over 8
//     ranks and far less than a number that was added once a rank.
std::optional<std::string> difference_from_whole(const at::Tensor& got, const at::Tensor& whole);

// Runs a subject whose bug needs no trace: eagerly at the hint and at every size, on its inputs and
// on the same ones gathered, and compares the outputs. Ends at the first thing that goes wrong. The
// program takes plain tensors too, so it calls neither redistribute nor to_local.
Outcome run_sharded(const Subject& subject);

}  // namespace samebits
