#pragma once

#include <cstdint>
#include <string>

#include "harness/base/names.h"

namespace samebits {

// What an all-gather of a shard is taken to hold (dtensor/dtensor.h, redistribute).
enum class GatheredSize { kNarrow, kConditional };

inline const Names<GatheredSize>& names_of(GatheredSize) {
  static const Names<GatheredSize> names = {{"narrow", GatheredSize::kNarrow},
                                            {"conditional", GatheredSize::kConditional}};
  return names;
}

struct MeshSettings {
  std::string kind = "local";
  int64_t tp = 1;
  GatheredSize gathered_size = GatheredSize::kNarrow;
};

}  // namespace samebits
