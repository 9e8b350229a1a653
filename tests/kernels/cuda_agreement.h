#pragma once

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "harness/kernels/device.h"
#include "tests/kernels/tensors.h"

// What the tests of a card share: an operator there against the CPU, to the bit.
namespace samebits::testing {

using Tensors = std::vector<at::Tensor>;
using Operator = std::function<Tensors(const Tensors&)>;

class CudaTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const std::string reason = why_no_cuda(); !reason.empty()) GTEST_SKIP() << reason;
  }
};

// Runs `op` on both; what it writes in place is among what it returns.
inline bool agrees(const Operator& op, const Tensors& inputs) {
  Tensors copies;
  for (const at::Tensor& input : inputs) copies.push_back(input.clone());
  const Tensors there = on(at::kCPU, op(on(at::kCUDA, inputs)));
  throw_device_fault();
  return same_bits(op(copies), there);
}

// Calls f(dtype, make, what) for both dtypes, with ordinary values and hostile ones.
using Make = at::Tensor (*)(at::IntArrayRef, at::ScalarType, uint64_t);
inline void for_both_makes(const std::function<void(Make, const std::string&)>& f) {
  f(random_tensor, "normal values");
  f(hostile_tensor, "arbitrary bits");
}

inline void for_all_values(const std::function<void(at::ScalarType, Make, const std::string&)>& f) {
  for (const at::ScalarType dtype : kDtypes) {
    const std::string name = dtype == at::kFloat ? "float32, " : "bfloat16, ";
    for_both_makes([&](Make make, const std::string& what) { f(dtype, make, name + what); });
  }
}

// Where sequences begin and end.
inline at::Tensor boundaries(const std::vector<int32_t>& ends) {
  return at::tensor(ends, at::kInt);
}

}  // namespace samebits::testing
