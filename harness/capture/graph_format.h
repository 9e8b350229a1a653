#pragma once

#include <ATen/core/jit_type.h>

#include <cstdint>
#include <string>

// What the writer and the reader of graph files agree on.
namespace samebits::graph_format {

inline constexpr const char* kName = "samebits graph";
inline constexpr int64_t kVersion = 1;

// "2.11.0": the LibTorch that this program is built with.
std::string libtorch_version();

// Whether an argument of this type (Argument::real_type) is a ScalarType, given or not: its
// integer then names a dtype.
bool is_dtype(const c10::TypePtr& real_type);

}  // namespace samebits::graph_format
