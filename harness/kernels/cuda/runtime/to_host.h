#pragma once

#include <cuda_runtime_api.h>

#include <array>
#include <cstdint>

namespace samebits::cuda {

constexpr int kMostToHost = 4;  // values of one call

// Where a value lies on the card, and where in pinned memory it goes.
struct ToHost {
  const void* from;
  void* to;
  int64_t bytes;
};

// Copies by a kernel: a few bytes are there sooner than by the copy engine, which begins late
// behind kernels (9 us on an H200). Those without bytes are passed over.
void copy_to_host(const std::array<ToHost, kMostToHost>& values, cudaStream_t stream);

}  // namespace samebits::cuda
