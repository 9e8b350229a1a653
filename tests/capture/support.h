#pragma once

#include <ATen/ATen.h>

#include <exception>
#include <memory>
#include <string>
#include <vector>

#include "harness/capture/tracer.h"
#include "tests/support/same_bits.h"

namespace samebits {

using testing::same_bits;
using Tensors = std::vector<at::Tensor>;

// float32 [n, m], no two elements equal.
inline at::Tensor rows(int64_t n, int64_t m = 3) {
  return (at::arange(n * m, at::kFloat) * 0.37f - 1.1f).reshape({n, m});
}

inline std::shared_ptr<const ir::Graph> traced(const Program& program, const Tensors& inputs,
                                               const std::vector<DynamicDim>& dims) {
  ShapeEnv env;
  return std::make_shared<const ir::Graph>(trace(program, inputs, dims, env));
}

// What f throws, as text; "no error" otherwise.
template <typename F>
std::string error_of(F&& f) {
  try {
    f();
  } catch (const std::exception& e) {
    return e.what();
  }
  return "no error";
}

}  // namespace samebits
