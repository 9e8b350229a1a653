#pragma once

// Decode's attention by clusters (decode.cu): where keys are, and the scores of all of them.

#include "harness/kernels/cuda/attention/decode.cuh"

namespace samebits::cuda {

constexpr int kBlockWarps = 16;
constexpr int kBlockThreads = kBlockWarps * 32;
constexpr int kPart = 16;  // keys whose scores a warp finds at once
constexpr int kPartsOfTile = kAttentionTile / kPart;

// The grid: x the blocks of a cluster; y key-value heads times row groups; z tokens.

// What the blocks of a cluster leave each other in the workspace, of [tokens, H] rows and of tiles.
struct Scores {
  int64_t tiles;   // that the page table can hold
  float* scores;   // [T * H, tiles * 64]
  float4* maxima;  // [T * H, tiles], of each part of a tile

  static constexpr int64_t kFloats = kAttentionTile + kPartsOfTile;  // of a row's tile
};

// A cluster's warps take turns, neighbours in neighbouring blocks: their memory is far apart.
__device__ inline int warp_of_cluster() {
  return static_cast<int>(threadIdx.x / 32 * gridDim.x + blockIdx.x);
}
__device__ inline int warps_of_cluster() { return kBlockWarps * static_cast<int>(gridDim.x); }

__device__ inline float largest_of(float4 four) {
  return larger(larger(four.x, four.y), larger(four.z, four.w));
}

// Where a thread's keys are, one after the other: which row of the cache, of which there are fewer
// than 2^31. Pages are copied kAhead keys before they are wanted: what is loaded directly waits
// behind all copies under way.
template <int kAhead>
class KeyRows {
 public:
  // The keys are first, first + stride, ... below `count`; `pages`: kAhead of this thread's,
  // kBlockThreads apart. The first kAhead are asked for.
  __device__ KeyRows(const Keys& keys, int count, int first, int stride, int32_t* pages)
      : keys_(keys), count_(count), key_(first), stride_(stride), pages_(pages) {
#pragma unroll 1
    for (int i = 0; i < kAhead; ++i) ask(i);
    commit_copies();
  }
  // Of the next key, whose page has come; -1: there is none. Asks for the page kAhead keys on.
  __device__ int next(Fault* fault) {
    const bool is_there = key_ < count_;
    const int row =
        is_there ? static_cast<int>(keys_.index(key_, pages_[slot_ * kBlockThreads], fault)) : -1;
    ask(kAhead);
    key_ += stride_;
    slot_ = slot_ + 1 < kAhead ? slot_ + 1 : 0;
    return row;
  }

 private:
  __device__ void ask(int ahead) const {
    const int64_t key = key_ + int64_t{ahead} * stride_;
    if (key >= count_) return;
    copy_4(&pages_[(ahead == kAhead ? slot_ : ahead) * kBlockThreads],
           keys_.pages.block_table + keys_.entry(key));
  }

  const Keys& keys_;
  int count_;
  int key_;
  int stride_;
  int32_t* pages_;
  int slot_ = 0;
};

constexpr int kDepth = 128;                // elements of a key that a warp has at once
constexpr int kKeyLine = kDepth * 2 + 16;  // bytes: eight keys in different banks
constexpr int kKeyStages = 2;              // parts of a warp's, one at work, one on its way
using PartRows = KeyRows<kKeyStages - 1>;  // of a lane's key in each part of its warp's

struct KeysShared {
  char keys[kBlockWarps][kKeyStages][kPart * kKeyLine];
};

// The queries' fragments of kDepth elements. Rows that are not there are others again: nobody reads
// what comes of them.
__device__ inline void read_queries(uint32_t (&a)[kDepth / 16][4], const uint16_t* q, int rows,
                                    int head_dim, int first, int lane) {
#pragma unroll
  for (int d = 0; d < kDepth / 16; ++d) {
    if (first + d * 16 >= head_dim) continue;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int row = min(lane / 4 + i % 2 * 8, rows - 1);
      const int column = first + d * 16 + i / 2 * 8 + lane % 4 * 2;
      a[d][i] = *reinterpret_cast<const uint32_t*>(q + int64_t{row} * head_dim + column);
    }
  }
}

// Of a part, scaled, and their maxima.
__device__ inline void write_scores(const Attention& size, const DecodeRows& rows, const Scores& to,
                                    int part, const float (&s)[2][4], int lane) {
#pragma unroll
  for (int h = 0; h < 2; ++h) {
    if (h * 8 >= rows.rows) break;
    const int row = lane / 4 + h * 8;
    const int64_t tiles = (rows.first_row(size) + row) * to.tiles;
    const int first = part * kPart + lane % 4 * 2;
    float* const scores = to.scores + tiles * kAttentionTile + first;
    const int left = row < rows.rows ? static_cast<int>(rows.keys) - first : 0;
    float most = -INFINITY;
#pragma unroll
    for (int j = 0; j < 2; ++j) {
#pragma unroll
      for (int e = 0; e < 2; ++e) {
        if (j * 8 + e >= left) continue;
        const float score = s[j][2 * h + e] * size.scale;
        scores[j * 8 + e] = score;
        most = larger(most, score);
      }
    }
    for (int width = 1; width <= 2; width *= 2) {
      most = larger(most, __shfl_xor_sync(0xffffffffu, most, width));
    }
    if (lane % 4 != 0 || row >= rows.rows) continue;
    auto* const parts = reinterpret_cast<float*>(to.maxima + tiles + part / kPartsOfTile);
    parts[part % kPartsOfTile] = most;
  }
}

// `k`: of the block's head; `row`: elements of a key, all heads. A warp's parts come through memory
// of its own, kDepth elements of the keys at a time.
__device__ inline void find_scores(const Attention& size, const DecodeRows& rows,
                                   PartRows& part_rows, const uint16_t* q, const uint16_t* k,
                                   int64_t row_elements, const Scores& to, KeysShared& shared,
                                   Fault* fault) {
  const int lane = static_cast<int>(threadIdx.x % 32);
  const int head_dim = static_cast<int>(size.head_dim);
  const int depths = (head_dim + kDepth - 1) / kDepth;
  const int first_part = warp_of_cluster();
  const int stride = warps_of_cluster();
  const int parts = rows.tiles() * kPartsOfTile;
  const int units = first_part < parts ? (parts - first_part + stride - 1) / stride * depths : 0;
  const uint32_t stages = shared_address(shared.keys[threadIdx.x / 32]);
  const auto stage_of = [&](int unit) {
    return stages + unit % kKeyStages * static_cast<int>(sizeof shared.keys[0][0]);
  };
  int row = -1;  // of this lane's key
  const auto fetch = [&](int unit) {
    if (unit < units) {
      if (unit % depths == 0) row = part_rows.next(fault);
      const int column = unit % depths * kDepth + lane % 16 * 8;
      const uint32_t to_line = stage_of(unit) + lane / 16 * kKeyLine + lane % 16 * 16;
#pragma unroll
      for (int i = 0; i < kPart / 2; ++i) {
        const int at = __shfl_sync(0xffffffffu, row, i * 2 + lane / 16);
        const bool is_there = at >= 0 && column < head_dim;
        copy_16(to_line + i * 2 * kKeyLine, k + (is_there ? at * row_elements + column : 0),
                is_there ? 16 : 0);
      }
    }
    commit_copies();
  };
  wait_copies<0>();  // the first pages
  uint32_t a[kDepth / 16][4];
  float s[2][4];
  // In one loop, what goes before it as well: code that is run a few times comes slowly.
#pragma unroll 1
  for (int unit = 1 - kKeyStages; unit < units; ++unit) {
    if (unit >= 0) {
      wait_copies<kKeyStages - 2>();
      __syncwarp();
    }
    fetch(unit + kKeyStages - 1);
    const int depth = unit % depths * kDepth;
    // The same for all parts, and on their way with the first: where that is all of a key.
    if (depths > 1 ? unit >= 0 : unit == 1 - kKeyStages) {
      read_queries(a, q + rows.first_row(size) * head_dim, rows.rows, head_dim, depth, lane);
    }
    if (unit < 0) continue;
    if (depth == 0) {
#pragma unroll
      for (int e = 0; e < 4; ++e) s[0][e] = s[1][e] = 0.0f;
    }
    const uint32_t line =
        stage_of(unit) + (lane % 8 + lane / 16 * 8) * kKeyLine + lane / 8 % 2 * 16;
    const int steps = (head_dim - depth) / 16;
#pragma unroll
    for (int d = 0; d < kDepth / 16; ++d) {
      if (d >= steps) break;
      uint32_t b[4];
      load_matrices_at(b, line + d * 32);
      step(s[0], a[d], b[0], b[1]);
      step(s[1], a[d], b[2], b[3]);
    }
    if (depth + kDepth < head_dim) continue;
    write_scores(size, rows, to, first_part + unit / depths * stride, s, lane);
  }
  wait_copies<0>();
}

}  // namespace samebits::cuda
