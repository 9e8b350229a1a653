#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace samebits {

// cos and sin of position * theta^(-2i / head_dim), float32 [positions, head_dim / 2]: computed in
// double, rounded once. Made to full length when a model is built and never grown, so that no
// captured graph can hold a stale table.
struct RopeTable {
  at::Tensor cos;
  at::Tensor sin;
};
RopeTable make_rope_table(int64_t positions, int64_t head_dim, double theta);

}  // namespace samebits
