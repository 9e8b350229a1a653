#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "harness/model/config.h"

namespace samebits {

// Paged keys and values of every layer, one pair a rank: [blocks, block_size, G / ranks, D]. The
// addresses never change, so a captured graph may hold them. Which block belongs to whom is the
// engine's business.
class KvCache {
 public:
  struct Page {
    at::Tensor k;
    at::Tensor v;
  };

  KvCache(const DecoderConfig& config, int64_t ranks, int64_t blocks, int64_t block_size,
          at::ScalarType dtype, c10::Device device = c10::kCPU);

  const Page& page(int64_t layer, int64_t rank) const { return pages_.at(layer * ranks_ + rank); }
  int64_t blocks() const { return blocks_; }
  int64_t block_size() const { return block_size_; }

 private:
  int64_t ranks_;
  int64_t blocks_;
  int64_t block_size_;
  std::vector<Page> pages_;
};

}  // namespace samebits
