#include "harness/model/rope.h"

#include <ATen/Functions.h>

#include <cmath>

namespace samebits {

RopeTable make_rope_table(int64_t positions, int64_t head_dim, double theta) {
  const int64_t half = head_dim / 2;
  RopeTable table{at::empty({positions, half}, at::kFloat),
                  at::empty({positions, half}, at::kFloat)};
  float* cos = table.cos.mutable_data_ptr<float>();
  float* sin = table.sin.mutable_data_ptr<float>();
  for (int64_t i = 0; i < half; ++i) {
    const double frequency =
        std::pow(theta, -2.0 * static_cast<double>(i) / static_cast<double>(head_dim));
    for (int64_t p = 0; p < positions; ++p) {
      const double angle = static_cast<double>(p) * frequency;
      cos[p * half + i] = static_cast<float>(std::cos(angle));
      sin[p * half + i] = static_cast<float>(std::sin(angle));
    }
  }
  return table;
}

}  // namespace samebits
