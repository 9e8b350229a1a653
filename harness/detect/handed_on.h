#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "harness/detect/subject.h"

// Operators and programs that hand their argument on: the same elements in the same memory.
namespace samebits {

// "a DTensor, S(0) over 2, Float", "a plain tensor, Float".
std::string kind_of(const at::Tensor& tensor);

// The same elements in the same memory, seen in the same order.
bool is_handed_on(const at::Tensor& from, const at::Tensor& to);

// A tensor that owns no memory and lies in none of the others': who owned it may be gone. It must
// not be read.
bool is_dangling(const at::Tensor& tensor, const std::vector<at::Tensor>& others);

// Runs a subject whose outputs are its inputs handed on, one each: eagerly at the hint and at every
// size, where each output must be of its input's kind and in its memory. Reads none of it.
Outcome run_handed_on(const Subject& subject);

}  // namespace samebits
