#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "harness/model/config.h"

namespace samebits {

// Paged keys and values of every layer, one pair for each rank of this process: [blocks,
// block_size, G / ranks, D]. The addresses never change, so a captured graph may hold them. Which
// block belongs to whom is the engine's business.
class KvCache {
 public:
  struct Page {
    at::Tensor k;
    at::Tensor v;
  };

  // `ranks` of the mesh, of which this process hosts `hosted`, all of them by default.
  KvCache(const DecoderConfig& config, int64_t ranks, int64_t blocks, int64_t block_size,
          at::ScalarType dtype, c10::Device device = c10::kCPU,
          std::optional<int64_t> hosted = std::nullopt);

  // `local`: which of the hosted ranks.
  const Page& page(int64_t layer, int64_t local) const {
    return pages_.at(layer * hosted_ + local);
  }
  int64_t hosted() const { return hosted_; }
  int64_t blocks() const { return blocks_; }
  int64_t block_size() const { return block_size_; }

 private:
  int64_t hosted_;
  int64_t blocks_;
  int64_t block_size_;
  std::vector<Page> pages_;
};

}  // namespace samebits
