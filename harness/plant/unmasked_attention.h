#pragma once

#include <cstdint>

namespace samebits {

// The operands of samebits::flash_attention as they lie in memory, contiguous: q [tokens, heads,
// size], k and v [tokens, groups, size], all of bfloat16 or all of float32; boundaries int32
// [sequences + 1].
struct AttentionOperands {
  const void* q;
  const void* k;
  const void* v;
  const int32_t* boundaries;
  bool is_float;
  int64_t sequences;
  int64_t heads;
  int64_t groups;
  int64_t size;
  double scale;
};

// out, as q: attention in which every query sees all keys of its sequence, those behind it too.
void unmasked_attention(const AttentionOperands& operands, void* out);

}  // namespace samebits
