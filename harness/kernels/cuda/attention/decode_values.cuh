#pragma once

// Decode's attention by clusters (decode.cu): weights of scores, and values by them.

#include "harness/kernels/cuda/attention/decode_scores.cuh"
#include "harness/kernels/cuda/runtime/tma.cuh"

namespace samebits::cuda {

constexpr int kChunk = kChunkTiles * kAttentionTile;
constexpr int kWeights = 1 << 14;  // of all rows that a block has at once
constexpr int kFetchingWarps = kChunk / 32;
constexpr int kFirstChunks = 4;  // of V that are asked for before there are weights

template <int kColumns>
struct ValuesShared {
  static constexpr int kStages = kColumns == 64 ? 5 : 8;  // chunks in shared memory
  static constexpr int kLine = kColumns * 2 + 16;         // bytes of a key: as kKeyLine
  char v[kStages][kChunk * kLine];
  uint16_t p[kWeights];                     // [rows, keys]
  float alphas[kWeights / kAttentionTile];  // [rows, tiles]
  float sums[kWeights / kAttentionTile];    // [rows, tiles]
};
template <int kColumns>
using ValueRows = KeyRows<ValuesShared<kColumns>::kStages - 1>;  // of a lane's key in each chunk

template <int kColumns>
struct Shared {
  union {
    KeysShared keys;  // until all scores of the cluster are there
    ValuesShared<kColumns> values;
  };
  int32_t pages[ValuesShared<kColumns>::kStages - 1][kBlockThreads];  // of values
  int32_t key_pages[kKeyStages - 1][kBlockThreads];
};

// Some chunks, whose weights a block has at once.
struct Segment {
  int first;  // chunk
  int chunks;
  int most;  // chunks of any

  __device__ static Segment at(int first, int chunks, int rows) {
    const int most = kWeights / (rows * kChunk);
    return {first, min(chunks - first, most), most};
  }
  __device__ int end() const { return first + chunks; }
  // In `p`. A row is a multiple of 128 bytes, so the 16-byte pieces of eight rows that one matrix
  // load reads would lie in the same banks.
  __device__ int weight(int row, int key) const {
    return row * most * kChunk + ((key / 8 ^ row % 8) * 8) + key % 8;
  }
  // In `alphas` and `sums`; `tile` within the segment.
  __device__ int tile(int row, int tile) const { return row * most * kChunkTiles + tile; }
};

// A warp a row of a chunk, for all blocks of the cluster, which take turns; a lane has the keys of
// one residue mod 8 of one tile.
template <int kColumns>
__device__ void find_weights(const DecodeRows& rows, const Attention& size, const Scores& from,
                             const Segment& segment, ValuesShared<kColumns>& to) {
  const int lane = static_cast<int>(threadIdx.x % 32);
  const int blocks = static_cast<int>(gridDim.x);
  for (int part = warp_of_cluster(); part < segment.chunks * rows.rows;
       part += warps_of_cluster()) {
    const int row = part % rows.rows;
    const int chunk = part / rows.rows;  // of the segment
    const int own = chunk * kChunkTiles + lane / 8;
    const int64_t at = (rows.first_row(size) + row) * from.tiles;
    const ChunkWeights found = weights_of_chunk(
        rows.keys, rows.tiles(), (segment.first + chunk) * kChunkTiles, lane,
        [&](int64_t key) { return from.scores[at * kAttentionTile + key]; },
        [&](int tile) { return largest_of(from.maxima[at + tile]); });
#pragma unroll
    for (int j = 0; j < kAttentionTile / 8; ++j) {
      to.p[segment.weight(row, own * kAttentionTile + j * 8 + lane % 8)] = found.p[j];
    }
    __syncwarp();
    const uint16_t* const eight = &to.p[segment.weight(row, chunk * kChunk + lane * 8)];
    const uint4 weights = *reinterpret_cast<const uint4*>(eight);
    const int tile = segment.tile(row, own);
    for (int block = 0; block < blocks; ++block) {
      store_in_block(block, eight, weights);
      if (lane % 8 != 0) continue;
      store_in_block(block, &to.alphas[tile], found.alpha);
      store_in_block(block, &to.sums[tile], found.sum);
    }
  }
}

// A block's columns of V on their way to it, a lane a key of each chunk.
template <int kColumns>
class ValuesFetch {
 public:
  using Values = ValuesShared<kColumns>;
  static constexpr int kFirstWarp = kBlockWarps - kFetchingWarps;

  // `v`: of the block's head and first column; columns: that there are.
  __device__ ValuesFetch(const Keys& keys, int count, const uint16_t* v, int columns,
                         Shared<kColumns>& shared)
      : rows_(keys, count, first_key() + lane(), kChunk, &shared.pages[0][threadIdx.x]),
        row_(keys.row),
        v_(v),
        columns_(columns),
        to_(shared_address(shared.values.v[0]) + (first_key() + lane() / kPieces) * Values::kLine +
            lane() % kPieces * 16) {}

  // All chunks before `end` that have not been.
  __device__ void run(int end, uint64_t* full, uint64_t* empty, Fault* fault) {
#pragma unroll 1
    for (; next_ < end; ++next_) {
      const int stage = next_ % Values::kStages;
      if (next_ >= Values::kStages) wait_phase(&empty[stage], next_ / Values::kStages - 1);
      wait_copies<Values::kStages - 2>();  // the page
      const int row = rows_.next(fault);
      const uint32_t to = to_ + stage * static_cast<int>(sizeof Values::v[0]);
#pragma unroll
      for (int i = 0; i < kPieces; ++i) {
        constexpr int kKeys = 32 / kPieces;
        const int at = __shfl_sync(0xffffffffu, row, i * kKeys + lane() / kPieces);
        const int column = lane() % kPieces * 8;
        const bool is_there = at >= 0 && column < columns_;
        copy_16(to + i * kKeys * Values::kLine, v_ + (is_there ? at * row_ + column : 0),
                is_there ? 16 : 0);
      }
      commit_copies();
      arrive_when_copied(&full[stage]);
    }
  }

 private:
  static constexpr int kPieces = kColumns / 8;  // of a key, 16 bytes each

  __device__ static int lane() { return static_cast<int>(threadIdx.x % 32); }
  __device__ static int first_key() {  // of the warp's, in each chunk; others never fetch
    return max(static_cast<int>(threadIdx.x / 32) - kFirstWarp, 0) * 32;
  }

  ValueRows<kColumns> rows_;
  int64_t row_;
  const uint16_t* v_;
  int columns_;
  uint32_t to_;
  int next_ = 0;  // chunk
};

// What a warp reads of a tile: P, and eight columns of V.
struct TileFragments {
  uint32_t p[4][4];
  uint32_t v[2][4];
};

// An address that is kept: found again at each use, it would be in the way of the chain.
__device__ inline uint32_t kept(uint32_t address) {
  asm volatile("" : "+r"(address));
  return address;
}

// o = o alpha + P V, tile after tile of a segment, by a warp that has eight columns. A tile's
// fragments are on their way while the one before it is multiplied.
template <int kColumns>
class Multiply {
 public:
  using Values = ValuesShared<kColumns>;

  __device__ Multiply(const Values& values, const Segment& segment, int rows, int warp, int lane,
                      const uint64_t* full, const uint64_t* empty)
      : v_(kept(shared_address(values.v[0]) + lane * Values::kLine + warp * 16)),
        full_(kept(shared_address(full))),
        empty_(kept(shared_address(empty))),
        chunk_(segment.first) {
    // Rows that are not there are the last one's again: nobody reads what comes of them. Pieces
    // are permuted among eight, so tiles are alike.
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int at = segment.weight(min(lane % 16, rows - 1), i * 16 + lane / 16 * 8);
      p_[i] = kept(shared_address(&values.p[at]));
    }
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      alphas_[h] = &values.alphas[segment.tile(min(lane / 4 + h * 8, rows - 1), 0)];
    }
  }

  __device__ void run(float (&o)[4], int tiles, int lane) {
    TileFragments fragments[2];
    float4 alphas[2];
    begin_chunk(alphas);
    for (int half = 0; half < 2; ++half) read_half(fragments[0], 0, half);
#pragma unroll 1
    for (; tiles > 0; tiles -= kChunkTiles) {
      const int stage = stage_;
#pragma unroll
      for (int t = 0; t < kChunkTiles; ++t) {
        if (t >= tiles) break;
        const TileFragments& own = fragments[t % 2];
#pragma unroll
        for (int e = 0; e < 4; ++e) {
          const float4& of = alphas[e / 2];
          o[e] = o[e] * (t == 0 ? of.x : t == 1 ? of.y : t == 2 ? of.z : of.w);
        }
        TileFragments& next = fragments[(t + 1) % 2];
        const bool ends = t + 1 == kChunkTiles;
        step(o, own.p[0], own.v[0][0], own.v[0][1]);
        if (ends) {
          ++chunk_;
#pragma unroll
          for (int i = 0; i < 4; ++i) p_[i] += kChunk * 2;
          if (tiles > kChunkTiles) begin_chunk(alphas);
        }
        // Between the steps, a few at a time: more would hold the next step up. Behind the last
        // tile they are other memory of the block.
        read_half(next, ends ? 0 : t + 1, 0);
        step(o, own.p[1], own.v[0][2], own.v[0][3]);
        read_half(next, ends ? 0 : t + 1, 1);
        step(o, own.p[2], own.v[1][0], own.v[1][1]);
        if (ends) {
          __syncwarp();  // all of the chunk is in registers
          if (lane == 0) arrive(empty_ + stage * 8);
        }
        step(o, own.p[3], own.v[1][2], own.v[1][3]);
      }
    }
  }

 private:
  __device__ void begin_chunk(float4 (&alphas)[2]) {
    stage_ = chunk_ % Values::kStages;
    wait_phase(full_ + stage_ * 8, chunk_ / Values::kStages);
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      alphas[h] = *reinterpret_cast<const float4*>(alphas_[h]);
      alphas_[h] += kChunkTiles;
    }
  }
  // Of a tile of the chunk.
  __device__ void read_half(TileFragments& to, int tile, int half) const {
#pragma unroll
    for (int i = 2 * half; i < 2 * half + 2; ++i) {
      load_matrices_at(to.p[i], p_[i] + tile * kAttentionTile * 2);
    }
    load_transposed_at(to.v[half], v_ + stage_ * static_cast<int>(sizeof Values::v[0]) +
                                       (tile * kAttentionTile + half * 32) * Values::kLine);
  }

  uint32_t v_;
  uint32_t full_, empty_;
  uint32_t p_[4];
  const float* alphas_[2];
  int chunk_;
  int stage_ = 0;
};

}  // namespace samebits::cuda
