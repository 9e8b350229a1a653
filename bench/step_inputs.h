#pragma once

#include <ATen/ATen.h>

#include <cstdint>

#include "harness/workload/step_runner.h"

namespace samebits {

inline constexpr int64_t kBlockSize = 16;

// The last `tokens` of each of `sequences` sequences of `length` tokens, pages in order, the last
// one's next wanted.
inline StepInputs step_of(int64_t sequences, int64_t tokens, int64_t length,
                          c10::Device device = c10::kCPU) {
  const auto longs = at::TensorOptions().dtype(at::kLong).device(device);
  const int64_t pages = (length + kBlockSize - 1) / kBlockSize;
  const at::Tensor of_each = at::arange(sequences, longs);
  const at::Tensor positions = at::arange(length - tokens, length, longs);
  const at::Tensor first_slots = of_each.unsqueeze(1) * (pages * kBlockSize);
  return {at::full({1, sequences * tokens}, 5, longs),
          positions.repeat({sequences}).view({1, -1}),
          (first_slots + positions).view({-1}),
          at::arange(sequences * pages, longs).to(at::kInt).view({sequences, pages}),
          (at::arange(sequences + 1, longs) * tokens).to(at::kInt),
          at::full({sequences}, length, longs).to(at::kInt),
          of_each * tokens + (tokens - 1),
          at::stack({of_each, at::full({sequences}, length, longs)}, 1)};
}

}  // namespace samebits
