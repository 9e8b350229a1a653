#pragma once

#include "repro/catalogue/catalogue.h"

namespace samebits {

// Into how many parts a decode step cuts the keys, whose partial softmaxes are then merged.
enum class KvSplits {
  kByOccupancy,  // as many as fill 132 processors: fewer, the more sequences there are
  kOfOneSize,    // of 256 keys each
  kOfLibTorch    // on a card: what its flash attention chooses
};

// flash-attention#1897: one query a sequence, bfloat16 [s, heads, dim], over `keys` cached keys
// that all sequences share.
struct DecodeShape {
  int64_t keys;
  int64_t heads;
  int64_t dim;
  std::vector<int64_t> sequences;
};
Subject decode_over_splits(KvSplits splits, const DecodeShape& shape,
                           c10::Device device = c10::kCPU);

Repro split_kv_depends_on_batch();

}  // namespace samebits
