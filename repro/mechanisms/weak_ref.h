#pragma once

#include <ATen/core/Tensor.h>

#include <string>

namespace samebits {

// A custom operator of the kind that hands the outputs of a captured piece around without owning
// them: a tensor over the memory of its argument, which the caller keeps alive.
//
//   samebits_repro::weak_ref(Tensor(a) x) -> Tensor(a)
//
// Its overloads share the kernel and differ in what is registered, or guarded:
//   ""                  everything: kernel, shape rule, sharding strategy, declared alias
//   "no_kernel"         no kernel
//   "no_shape_rule"     no shape rule
//   "wrong_shape_rule"  a rule that forgets the last dimension
//   "no_strategy"       no sharding strategy
//   "undeclared_alias"  a schema that promises a fresh tensor
//   "no_guard"          takes the pointer of what it is given, a DTensor's wrapper too
//   "no_empty"          unwraps a DTensor, but takes the pointer of tensors without elements
//   "unwrap_only"       unwraps a DTensor and gives back its first local, a plain tensor: the guard
//                       that torchtitan#2486 merged
//   "pointwise"         the strategy of pointwise operators, as torchtitan#2393 registers it: a
//                       pending sum is reduced first, and the reference is one to the temporary
//   "strong"            no reference at all: the argument itself, a DTensor as it is, which is the
//                       guard of torchtitan#2393
//
// The pointer of a tensor without memory is null. On a card, LibTorch asks the driver who owns it
// and refuses it in its own words; on a CPU, where there is nobody to ask, the kernel does.
at::Tensor weak_ref(const at::Tensor& x, const std::string& overload = "");

}  // namespace samebits
