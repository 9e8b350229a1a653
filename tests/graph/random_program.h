#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <random>
#include <vector>

#include "harness/kernels/functional.h"
#include "tests/kernels/tensors.h"

namespace samebits::testing {

// A random chain of the contract's operators over x [1, T, kWidth], and rows of its result.
struct RandomProgram {
  static constexpr int64_t kWidth = 32;

  RandomProgram(uint64_t seed, at::ScalarType dtype, c10::Device device) {
    std::mt19937_64 random(seed);
    for (uint64_t i = 0; i < 8; ++i) {
      weights.push_back(random_tensor({kWidth, kWidth}, dtype, seed * 100 + i).to(device));
      norms.push_back(random_tensor({kWidth}, dtype, seed * 100 + 50 + i).to(device));
      choices.push_back(static_cast<int>(random() % 6));
    }
  }

  std::vector<at::Tensor> operator()(const std::vector<at::Tensor>& inputs) const {
    at::Tensor x = inputs[0];
    at::Tensor previous = x;
    for (size_t i = 0; i < choices.size(); ++i) {
      at::Tensor next;
      switch (choices[i]) {
        case 0:
          next = ops::rms_norm(x, norms[i], 1e-6, /*fused_rounding=*/false);
          break;
        case 1:
          next = ops::linear(x, weights[i], /*slice=*/8, /*dgrad_slice=*/0, x.scalar_type());
          break;
        case 2:
          next = ops::silu_mul(x, previous, /*fused_rounding=*/false);
          break;
        case 3:
          next = ops::residual_add(x, previous);
          break;
        case 4:  // of LibTorch: neighbours swapped, half by half
          next = at::cat({x.narrow(2, kWidth / 2, kWidth / 2), x.narrow(2, 0, kWidth / 2)}, 2);
          break;
        default:
          next = x.view({1, -1, 2, kWidth / 2}).transpose(2, 3).reshape({1, -1, kWidth}) + previous;
      }
      previous = x;
      x = next;
    }
    return {x, x.index_select(1, inputs[1])};
  }

  std::vector<at::Tensor> weights, norms;
  std::vector<int> choices;
};

}  // namespace samebits::testing
