#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <string>

#include "harness/model/decoder.h"

namespace samebits {

// What the steps of a workload leave behind, by name: whole plain tensors on the CPU, the same at
// every layout of ranks.
using State = std::map<std::string, at::Tensor>;

// A value of it. Of a DTensor, collective over its mesh.
at::Tensor state_of(const TensorParallel& parallel, const at::Tensor& value);

// Copies a value of it into a tensor that lies over a mesh as it lay, at the address that it has.
// Throws InputError, naming `name`, where there is none or where it has another shape or dtype.
void load_state(const State& state, const std::string& name, const TensorParallel& parallel,
                const at::Tensor& into);

// A model's parameters, at PREFIX.NAME of the checkpoint.
void add_parameters(State& state, const std::string& prefix, const Decoder& model);
void load_parameters(const State& state, const std::string& prefix, const Decoder& model);

}  // namespace samebits
