#pragma once

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "harness/dtensor/dtensor.h"

// What the tests of DTensor share: integer-valued data, whose sums are exact in any order, every
// placement of it, and one comparison to the bit.
namespace samebits::testing_support {

// Small whole numbers, as float32 unless told.
at::Tensor whole_numbers(at::IntArrayRef sizes, at::ScalarType dtype = at::kFloat);

// S(0), S(1), ..., R, P(sum).
std::vector<Placement> placements_of_rank(int64_t rank);

// Every choice of those for each of `mesh_dims` dimensions of a mesh.
std::vector<Placements> placements_on_grid(int64_t rank, int64_t mesh_dims);

// `whole` in a placement; under P(sum), summands that differ from rank to rank. `whole` must be
// exactly representable sums.
at::Tensor laid_out(const at::Tensor& whole, const c10::intrusive_ptr<DeviceMesh>& mesh,
                    const Placements& placements);

// Dtype, sizes and every bit.
testing::AssertionResult same_bits(const at::Tensor& found, const at::Tensor& expected);

// full_tensor(found) against `expected`, and every local of a Shard or Replicate against its own
// part of it.
testing::AssertionResult same_value(const at::Tensor& found, const at::Tensor& expected);

// The message of the c10::Error that `call` throws; empty if it throws none.
template <typename Call>
std::string error_of(Call call) {
  try {
    call();
  } catch (const c10::Error& error) {
    return error.what_without_backtrace();
  }
  return "";
}

}  // namespace samebits::testing_support
