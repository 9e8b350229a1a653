// Attention over pages where sequences have a query or few: each token by itself, a cluster of
// blocks for each key-value head, which put as much of a sequence on the card at once as its chain
// allows.
//
//   scores    a warp 16 keys: s = (q . k) * scale, and their maximum of each row
//   weights   a block its share of them, for all: m from the maxima so far, then alpha, P and the
//             sum of p
//   values    a block some columns of O, the chain over all keys, and l beside it
//
// The rows of a block are query heads that share a key-value head. All see the same keys, so
// nothing needs masking but the end of the last tile, which is filled with zeros.

#include <algorithm>

#include "harness/kernels/cuda/attention/decode.cuh"
#include "harness/kernels/cuda/runtime/launch.cuh"
#include "harness/kernels/cuda/runtime/tma.cuh"

namespace samebits::cuda {
namespace {

constexpr int kRows = kDecodeRows;
constexpr int kWarps = 16;
constexpr int kThreads = kWarps * 32;
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
__device__ int warp_of_cluster() {
  return static_cast<int>(threadIdx.x / 32 * gridDim.x + blockIdx.x);
}
__device__ int warps_of_cluster() { return kWarps * static_cast<int>(gridDim.x); }

__device__ float largest_of(float4 four) {
  return larger(larger(four.x, four.y), larger(four.z, four.w));
}

// Where a thread's keys are, one after the other: which row of the cache, of which there are fewer
// than 2^31. Pages are copied kAhead keys before they are wanted: what is loaded directly waits
// behind all copies under way.
template <int kAhead>
class KeyRows {
 public:
  // The keys are first, first + stride, ... below `count`; `pages`: kAhead of this thread's,
  // kThreads apart. The first kAhead are asked for.
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
        is_there ? static_cast<int>(keys_.index(key_, pages_[slot_ * kThreads], fault)) : -1;
    ask(kAhead);
    key_ += stride_;
    slot_ = slot_ + 1 < kAhead ? slot_ + 1 : 0;
    return row;
  }

 private:
  __device__ void ask(int ahead) const {
    const int64_t key = key_ + int64_t{ahead} * stride_;
    if (key >= count_) return;
    copy_4(&pages_[(ahead == kAhead ? slot_ : ahead) * kThreads],
           keys_.pages.block_table + keys_.entry(key));
  }

  const Keys& keys_;
  int count_;
  int key_;
  int stride_;
  int32_t* pages_;
  int slot_ = 0;
};

// ---- scores ------------------------------------------------------------------------------------
constexpr int kDepth = 128;                // elements of a key that a warp has at once
constexpr int kKeyLine = kDepth * 2 + 16;  // bytes: eight keys in different banks
constexpr int kKeyStages = 2;  // parts of a warp's, one at work, the others on their way
using PartRows = KeyRows<kKeyStages - 1>;  // of a lane's key in each part of its warp's

struct KeysShared {
  char keys[kWarps][kKeyStages][kPart * kKeyLine];
};

// The queries' fragments of kDepth elements. Rows that are not there are others again: nobody reads
// what comes of them.
__device__ void read_queries(uint32_t (&a)[kDepth / 16][4], const uint16_t* q, int rows,
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
__device__ void write_scores(const Attention& size, const DecodeRows& rows, const Scores& to,
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
__device__ void find_scores(const Attention& size, const DecodeRows& rows, PartRows& part_rows,
                            const uint16_t* q, const uint16_t* k, int64_t row_elements,
                            const Scores& to, KeysShared& shared, Fault* fault) {
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

// ---- weights and values ------------------------------------------------------------------------
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
  int32_t pages[ValuesShared<kColumns>::kStages - 1][kThreads];  // of values
  int32_t key_pages[kKeyStages - 1][kThreads];
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
  static constexpr int kFirstWarp = kWarps - kFetchingWarps;

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
__device__ uint32_t kept(uint32_t address) {
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

template <int kColumns>
__global__ void __launch_bounds__(kThreads)
    decode_kernel(Attention size, Pages pages, const uint16_t* q, const uint16_t* k,
                  const uint16_t* v, Scores scores, uint16_t* out, Fault* fault) {
  extern __shared__ __align__(128) char memory[];
  auto& shared = *reinterpret_cast<Shared<kColumns>*>(memory);
  auto& values = shared.values;
  constexpr int kStages = ValuesShared<kColumns>::kStages;
  __shared__ uint64_t full[kStages];
  __shared__ uint64_t empty[kStages];
  __shared__ float sums[kRows];
  static_assert(kColumns / 8 + kFetchingWarps <= kWarps);
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int head_dim = static_cast<int>(size.head_dim);
  const int first_column = static_cast<int>(blockIdx.x) * kColumns;
  const int columns = max(min(head_dim - first_column, kColumns), 0);
  const bool multiplies = warp * 8 < columns;
  const bool fetches = warp >= ValuesFetch<kColumns>::kFirstWarp && columns > 0;
  const bool adds_l = warp == kWarps - 1;
  if (threadIdx.x == 0) {
    for (int i = 0; i < kStages; ++i) {
      init_barrier(&full[i], kFetchingWarps * 32);
      init_barrier(&empty[i], max(columns / 8, 1));
    }
    publish_barriers();
  }
  if (!pages.tables_are_settled) wait_for_earlier_kernels();
  const DecodeRows rows = rows_of_token(size, pages, blockIdx.z, blockIdx.y, fault);
  const int64_t first_row = rows.first_row(size);
  const int count = rows.sequence < 0 ? 0 : static_cast<int>(rows.keys);
  const int tiles = (count + kAttentionTile - 1) / kAttentionTile;
  const int chunks = (tiles + kChunkTiles - 1) / kChunkTiles;
  const Keys keys{pages, size.kv_heads * size.head_dim, 0, rows.sequence};
  const int64_t head = rows.kv_head * head_dim;
  PartRows part_rows(keys, count, warp_of_cluster() * kPart + lane % kPart,
                     warps_of_cluster() * kPart, &shared.key_pages[0][threadIdx.x]);
  ValuesFetch<kColumns> values_fetch(keys, fetches ? count : 0, v + head + first_column, columns,
                                     shared);
  if (pages.tables_are_settled) wait_for_earlier_kernels();
  if (chunks > 0) {
    find_scores(size, rows, part_rows, q, k + head, keys.row, scores, shared.keys, fault);
  }
  __syncthreads();  // the memory of keys is free
  float o[4] = {};
  float l = 0.0f;  // of a lane's row
  for (Segment segment = Segment::at(0, chunks, rows.rows); segment.chunks > 0;
       segment = Segment::at(segment.end(), chunks, rows.rows)) {
    const int there = min(tiles - segment.first * kChunkTiles, segment.chunks * kChunkTiles);
#pragma unroll 1
    for (int pass = 0; pass < 2; ++pass) {  // V ahead of the weights, then beside what they are for
      if (pass == 1) {
        sync_cluster();  // all scores are there, the weights before done with
        find_weights(rows, size, scores, segment, values);
        sync_cluster();
      }
      const int end = pass == 0 ? segment.first + kFirstChunks : segment.end() + kStages;
      if (fetches) values_fetch.run(min(chunks, end), full, empty, fault);
    }
    if (adds_l && lane < rows.rows) {
#pragma unroll 4
      for (int t = 0; t < there; ++t) {
        const float product = l * values.alphas[segment.tile(lane, t)];
        l = product + values.sums[segment.tile(lane, t)];
      }
    }
    if (!multiplies) continue;
    Multiply<kColumns>(values, segment, rows.rows, warp, lane, full, empty).run(o, there, lane);
  }
  if (adds_l && lane < rows.rows) sums[lane] = l;
  __syncthreads();
  if (!multiplies) return;
#pragma unroll
  for (int e = 0; e < 4; ++e) {
    const int row = lane / 4 + e / 2 * 8;
    const int column = warp * 8 + lane % 4 * 2 + e % 2;
    if (row >= rows.rows || column >= columns) continue;
    out[(first_row + row) * head_dim + first_column + column] =
        chunks == 0 ? uint16_t{0} : f32_to_bf16(o[e] / sums[row]);
  }
}

// What clusters leave each other.
int64_t cluster_floats(const Attention& size, const Pages& pages) {
  return size.tokens * size.heads * tiles_of(pages) * Scores::kFloats;
}

bool may_decode(const Attention& size, const Pages& pages) {
  constexpr int64_t kMost = int64_t{1} << 26;  // 256 MiB: beyond, the other kernel does
  const int64_t floats = cluster_floats(size, pages);
  return size.bf16 && size.tokens <= size.sequences && floats > 0 && floats <= kMost;
}

}  // namespace

bool is_decode(const Attention& size, const Pages& pages, const void* q, const void* k,
               const void* v) {
  return may_decode(size, pages) && size.head_dim % 16 == 0 && rows_are_aligned(q, size.head_dim) &&
         rows_are_aligned(k, size.head_dim) && rows_are_aligned(v, size.head_dim);
}

int64_t decode_workspace(const Attention& size, const Pages& pages) {
  const bool clusters_do = may_decode(size, pages) && !is_for_single_blocks(size, pages);
  return clusters_do ? cluster_floats(size, pages) : 0;
}

void decode_attention(const Attention& size, const Pages& pages, const void* q, const void* k,
                      const void* v, void* out, float* workspace, cudaStream_t stream) {
  if (is_for_single_blocks(size, pages)) {
    return decode_by_single_blocks(size, pages, q, k, v, out, stream);
  }
  const int64_t tiles = tiles_of(pages);
  const int64_t all = size.tokens * size.heads * tiles;
  Scores scores{tiles, workspace, reinterpret_cast<float4*>(workspace + all * kAttentionTile)};
  const int64_t parts = row_groups(size);
  const auto run = [&](auto kernel, int columns, size_t bytes) {
    int cluster = 1;  // a power of two, which holds all columns
    while (cluster * columns < size.head_dim) cluster *= 2;
    allow_shared_memory(kernel, bytes);
    launch_clusters(
        kernel, cluster,
        dim3(static_cast<unsigned>(cluster), static_cast<unsigned>(size.kv_heads * parts),
             static_cast<unsigned>(size.tokens)),
        kThreads, bytes, stream, size, pages, static_cast<const uint16_t*>(q),
        static_cast<const uint16_t*>(k), static_cast<const uint16_t*>(v), scores,
        static_cast<uint16_t*>(out), fault_record());
  };
  // As many blocks as the card has room for.
  const int64_t clusters = size.tokens * size.kv_heads * parts;
  if (clusters <= 8 && size.head_dim <= 128) {
    run(decode_kernel<16>, 16, sizeof(Shared<16>));
  } else if (clusters <= 16) {
    run(decode_kernel<32>, 32, sizeof(Shared<32>));
  } else {
    run(decode_kernel<64>, 64, sizeof(Shared<64>));
  }
}

}  // namespace samebits::cuda
