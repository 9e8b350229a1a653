#pragma once

#include <ATen/core/jit_type.h>

#include <string>

// What the writer and the reader of graph files agree on about LibTorch.
namespace samebits::graph_format {

// "2.11.0": the LibTorch that this program is built with.
std::string libtorch_version();

// The name of the device that a graph runs on.
inline constexpr const char* kDeviceOfRun = "run";

// Whether an argument of this type (Argument::real_type) is a ScalarType, given or not: its
// integer then names a dtype.
bool is_dtype(const c10::TypePtr& real_type);

}  // namespace samebits::graph_format
