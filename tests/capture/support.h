#pragma once

#include <ATen/ATen.h>

#include <cstring>
#include <exception>
#include <memory>
#include <string>
#include <vector>

#include "harness/capture/tracer.h"

namespace samebits {

using Tensors = std::vector<at::Tensor>;

// float32 [n, m], no two elements equal.
inline at::Tensor rows(int64_t n, int64_t m = 3) {
  return (at::arange(n * m, at::kFloat) * 0.37f - 1.1f).reshape({n, m});
}

inline bool same_bits(const at::Tensor& a, const at::Tensor& b) {
  if (a.scalar_type() != b.scalar_type() || a.sizes() != b.sizes()) return false;
  const at::Tensor left = a.contiguous();
  const at::Tensor right = b.contiguous();
  return left.nbytes() == 0 ||
         std::memcmp(left.const_data_ptr(), right.const_data_ptr(), left.nbytes()) == 0;
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
