#include "harness/model/kv_cache.h"

#include <ATen/Functions.h>

#include <limits>

namespace samebits {

KvCache::KvCache(const DecoderConfig& config, int64_t ranks, int64_t blocks, int64_t block_size,
                 at::ScalarType dtype, c10::Device device, std::optional<int64_t> hosted)
    : hosted_(hosted.value_or(ranks)), blocks_(blocks), block_size_(block_size) {
  const std::vector<int64_t> shape = {blocks, block_size, config.num_key_value_heads / ranks,
                                      config.head_dim};
  // NaN, so that whoever reads a slot that nobody wrote cannot miss it.
  const auto poisoned = [&] {
    return at::full(shape, std::numeric_limits<float>::quiet_NaN(),
                    at::TensorOptions().dtype(dtype).device(device));
  };
  for (int64_t i = 0; i < config.num_hidden_layers * hosted_; ++i) {
    pages_.push_back({poisoned(), poisoned()});
  }
}

}  // namespace samebits
