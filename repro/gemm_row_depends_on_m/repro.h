#pragma once

#include "repro/catalogue/catalogue.h"

namespace samebits {

// Who multiplies.
enum class Gemm {
  kLibTorch,  // at::linear, whose library chooses tiles and splits by the number of rows
  kInvariant  // samebits::linear
};

// pytorch#136338: rows [m, width] times a square weight, on a CPU in float32, on a card in
// bfloat16.
Subject rows_times_weight(Gemm gemm, int64_t width, std::vector<int64_t> sizes,
                          c10::Device device = c10::kCPU);

Repro gemm_row_depends_on_m();

}  // namespace samebits
