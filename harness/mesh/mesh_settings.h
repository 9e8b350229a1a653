#pragma once

#include <cstdint>
#include <string>

#include "harness/base/names.h"

namespace samebits {

// What an all-gather of a shard is taken to hold (dtensor/dtensor.h, redistribute). kConsumer is
// kConditional, and whoever takes a gathered activation narrows it (model/tensor_parallel.h).
enum class GatheredSize { kNarrow, kConditional, kConsumer };

inline const Names<GatheredSize>& names_of(GatheredSize) {
  static const Names<GatheredSize> names = {{"narrow", GatheredSize::kNarrow},
                                            {"conditional", GatheredSize::kConditional},
                                            {"consumer", GatheredSize::kConsumer}};
  return names;
}

struct MeshSettings {
  std::string kind = "local";
  int64_t tp = 1;
  GatheredSize gathered_size = GatheredSize::kNarrow;
};

}  // namespace samebits
