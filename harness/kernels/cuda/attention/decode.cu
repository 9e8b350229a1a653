// Attention over pages where sequences have a query or few: each token by itself, a cluster of
// blocks for each key-value head, which put as much of a sequence on the card at once as its chain
// allows.
//
//   scores    a warp 16 keys: s = (q . k) * scale, and their maximum of each row
//   weights   every block all of them: m from the maxima so far, then alpha, P and the sum of p
//   values    a block some columns of O, the chain over all keys, and l beside it
//
// The rows of a block are query heads that share a key-value head. All see the same keys, so
// nothing needs masking but the end of the last tile, which is filled with zeros.

#include <algorithm>

#include "harness/kernels/cuda/attention/decode.cuh"
#include "harness/kernels/cuda/runtime/launch.cuh"

namespace samebits::cuda {
namespace {

constexpr int kRows = kDecodeRows;
constexpr int kWarps = 16;
constexpr int kThreads = kWarps * 32;
constexpr int kTileWarps = 4;  // that find the scores of a tile, 16 keys each

// The grid: x the blocks of a cluster; y key-value heads times row groups; z tokens.

// What the blocks of a cluster leave each other in the workspace, of [tokens, H] rows and of tiles.
struct Scores {
  int64_t tiles;   // that the page table can hold
  float* scores;   // [T * H, tiles * 64]
  float4* maxima;  // [T * H, tiles], of each warp's keys

  static constexpr int64_t kFloats = kAttentionTile + kTileWarps;  // of a row's tile
};

// A cluster's warps take turns, neighbours in neighbouring blocks: their memory is far apart.
__device__ int64_t warp_of_cluster() {
  return static_cast<int64_t>(threadIdx.x / 32) * gridDim.x + blockIdx.x;
}
__device__ int64_t warps_of_cluster() { return static_cast<int64_t>(kWarps) * gridDim.x; }

__device__ float largest_of(float4 four) {
  return larger(larger(four.x, four.y), larger(four.z, four.w));
}

// ---- scores ------------------------------------------------------------------------------------
// Four neighbouring elements, a thread's share of a step: the step adds its 16 terms in any order,
// so both operands may have them in this one.
__device__ uint2 four(const uint16_t* row, int k) {
  return *reinterpret_cast<const uint2*>(row + k);
}

__device__ void find_scores(const Attention& size, const Pages& pages, const DecodeRows& rows,
                            const uint16_t* q, const uint16_t* k, const Scores& to, Fault* fault) {
  const int lane = static_cast<int>(threadIdx.x % 32);
  const int own = lane / 4;  // row, and key of eight
  const int head_dim = static_cast<int>(size.head_dim);
  const int64_t first_row = rows.first_row(size);
  const Keys keys{pages, size.kv_heads * size.head_dim, 0, rows.sequence};
  // Rows and keys that are not there are others again: nobody reads what comes of them.
  const uint16_t* q_rows[2];
#pragma unroll
  for (int h = 0; h < 2; ++h) {
    q_rows[h] = q + (first_row + min(own + h * 8, rows.rows - 1)) * head_dim;
  }

  const auto first_key_of = [](int64_t part) { return part * (kAttentionTile / kTileWarps); };
  int32_t key_pages[2];
  const auto find_pages = [&](int64_t part) {
#pragma unroll
    for (int j = 0; j < 2; ++j) {
      const int64_t key = first_key_of(part) + own + j * 8;
      key_pages[j] = key < rows.keys ? keys.page(key) : 0;
    }
  };
  find_pages(warp_of_cluster());
  for (int64_t part = warp_of_cluster(); part < int64_t{rows.tiles()} * kTileWarps;
       part += warps_of_cluster()) {
    const int64_t first_key = first_key_of(part);
    const uint16_t* k_rows[2];
#pragma unroll
    for (int j = 0; j < 2; ++j) {
      const int64_t key = first_key + own + j * 8;
      const int64_t at = key < rows.keys ? keys.place(key, key_pages[j], fault) : -1;
      k_rows[j] = k + max(at, int64_t{0}) + rows.kv_head * head_dim;
    }
    find_pages(part + warps_of_cluster());
    float s[2][4] = {};
#pragma unroll 8
    for (int d = 0; d < head_dim; d += 16) {
      const int column = d + lane % 4 * 4;
      const uint2 upper = four(q_rows[0], column);
      const uint2 lower = four(q_rows[1], column);
      const uint32_t a[4] = {upper.x, lower.x, upper.y, lower.y};
#pragma unroll
      for (int j = 0; j < 2; ++j) {
        const uint2 b = four(k_rows[j], column);
        step(s[j], a, b.x, b.y);
      }
    }
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      const int row = own + h * 8;
      float most = -INFINITY;
#pragma unroll
      for (int j = 0; j < 2; ++j) {
#pragma unroll
        for (int e = 0; e < 2; ++e) {
          const int64_t key = first_key + j * 8 + lane % 4 * 2 + e;
          const float score = s[j][2 * h + e] * size.scale;
          if (row >= rows.rows || key >= rows.keys) continue;
          to.scores[(first_row + row) * to.tiles * kAttentionTile + key] = score;
          most = larger(most, score);
        }
      }
      for (int width = 1; width <= 2; width *= 2) {
        most = larger(most, __shfl_xor_sync(0xffffffffu, most, width));
      }
      if (lane % 4 != 0 || row >= rows.rows) continue;
      const int64_t tile = (first_row + row) * to.tiles + part / kTileWarps;
      reinterpret_cast<float*>(to.maxima + tile)[part % kTileWarps] = most;
    }
  }
}

// ---- weights and values ------------------------------------------------------------------------
constexpr int kChunk = kChunkTiles * kAttentionTile;
constexpr int kStages = 4;         // chunks in shared memory: one at work, the others on their way
constexpr int kWeights = 1 << 14;  // of all rows that a block has at once

template <int kColumns>
struct ValuesShared {
  uint16_t v[kStages][kChunk * kColumns];
  int32_t pages[kStages][kChunk];           // of keys, from the table
  int32_t key_rows[kStages][kChunk];        // of all keys of the cache; negative: not there
  uint16_t p[kWeights];                     // [rows, keys]
  float alphas[kWeights / kAttentionTile];  // [rows, tiles]
  float sums[kWeights / kAttentionTile];    // [rows, tiles]
  float l[kRows];
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
  // In `p`. A row is a multiple of 128 bytes, so the 16-byte pieces of eight rows that one matrix
  // load reads would lie in the same banks.
  __device__ int weight(int row, int key) const {
    return row * most * kChunk + ((key / 8 ^ row % 8) * 8) + key % 8;
  }
  // In `alphas` and `sums`; `tile` within the segment.
  __device__ int tile(int row, int tile) const { return row * most * kChunkTiles + tile; }
};

// Rows of a chunk's V are 32 to 128 bytes: the 16-byte pieces of eight neighbouring rows that one
// matrix load reads lie in different banks.
template <int kColumns>
__device__ uint16_t* value_piece(uint16_t* v, int key, int piece) {
  constexpr int kPieces = kColumns / 8;
  return v + key * kColumns + ((piece ^ (key * kPieces / 8 % kPieces)) * 8);
}

// A warp a row of a chunk; a lane has the keys of one residue mod 8 of one tile.
template <int kColumns>
__device__ void find_weights(const DecodeRows& rows, const Attention& size, const Scores& from,
                             const Segment& segment, ValuesShared<kColumns>& to) {
  const int lane = static_cast<int>(threadIdx.x % 32);
  const int warp = static_cast<int>(threadIdx.x / 32);
  for (int part = warp; part < segment.chunks * rows.rows; part += kWarps) {
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
    if (lane % 8 == 0) {
      to.alphas[segment.tile(row, own)] = found.alpha;
      to.sums[segment.tile(row, own)] = found.sum;
    }
  }
}

// A block's columns of V on their way to it, by the warps that have no columns: those that have
// would wait for the memory's queue. In three steps, each at least a chunk before the next: a key's
// page out of the table, the key's row, and V. What is loaded directly would wait behind all copies
// under way, so pages are copied too; and a row takes divisions, so a thread finds it once.
template <int kColumns>
class ValuesFetch {
 public:
  static constexpr int kFirstWarp = kColumns / 8;

  // `v`: of the block's head and first column; columns: that there are, 0 or more.
  __device__ ValuesFetch(ValuesShared<kColumns>& to, const Keys& keys, int64_t count,
                         const uint16_t* v, int columns)
      : to_(to), keys_(keys), count_(count), v_(v), columns_(columns) {}

  __device__ void fetch_pages(int chunk) {
    const int64_t key = own_key(chunk);
    if (thread() >= kChunk || key >= count_) return;
    copy_4(&to_.pages[chunk % kStages][thread()], keys_.pages.block_table + keys_.entry(key));
  }

  // Of pages that this thread's copies have brought.
  __device__ void find_rows(int chunk, Fault* fault) {
    const int64_t key = own_key(chunk);
    if (thread() >= kChunk || key >= count_) return;
    to_.key_rows[chunk % kStages][thread()] =
        static_cast<int32_t>(keys_.index(key, to_.pages[chunk % kStages][thread()], fault));
  }

  __device__ void fetch_values(int chunk) {
    const int64_t left = count_ - static_cast<int64_t>(chunk) * kChunk;
    if (left <= 0) return;
    const int32_t* rows = to_.key_rows[chunk % kStages];
    uint16_t* stage = to_.v[chunk % kStages];
#pragma unroll
    for (int i = 0; i < kEach; ++i) {
      const int at = thread() + i * kThreadsThatFetch;
      const int key = at / kPieces;
      const int piece = at % kPieces;
      if (key >= kChunk) continue;
      const int row = key < left && piece * 8 < columns_ ? rows[key] : -1;
      copy_16(value_piece<kColumns>(stage, key, piece),
              v_ + (row < 0 ? 0 : row * keys_.row + piece * 8), row < 0 ? 0 : 16);
    }
  }

 private:
  static constexpr int kPieces = kColumns / 8;  // of a key, 16 bytes each
  static constexpr int kThreadsThatFetch = kThreads - kFirstWarp * 32;
  static constexpr int kEach = (kChunk * kPieces + kThreadsThatFetch - 1) / kThreadsThatFetch;
  static_assert(kThreadsThatFetch >= kChunk);

  __device__ static int thread() { return static_cast<int>(threadIdx.x) - kFirstWarp * 32; }
  __device__ static int64_t own_key(int chunk) {
    return static_cast<int64_t>(chunk) * kChunk + thread();
  }

  ValuesShared<kColumns>& to_;
  Keys keys_;
  int64_t count_;
  const uint16_t* v_;
  int columns_;
};

// Where a lane's part of a warp's fragments is: those of P of the segment's first tile, and of
// eight columns of V of a stage's.
template <int kColumns>
struct FragmentPlaces {
  const uint16_t* p[4];
  const uint16_t* v;

  // Rows that are not there are the last one's again: nobody reads what comes of them.
  __device__ FragmentPlaces(ValuesShared<kColumns>& shared, const Segment& segment, int rows,
                            int warp, int lane)
      : v(value_piece<kColumns>(shared.v[0], lane, warp)) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      p[i] = shared.p + segment.weight(min(lane % 16, rows - 1), i * 16 + lane / 16 * 8);
    }
  }
};

// What a warp reads of a tile. Pieces are permuted among eight, so tiles are alike.
template <int kColumns>
struct TileFragments {
  uint32_t p[4][4];
  uint32_t v[2][4];

  // Tiles since the segment's first, and since the first stage's.
  __device__ void read(const FragmentPlaces<kColumns>& places, int p_tile, int v_tile) {
#pragma unroll
    for (int i = 0; i < 4; ++i) load_matrices(p[i], places.p[i] + p_tile * kAttentionTile);
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      load_matrices_transposed(v[i], places.v + (v_tile * kAttentionTile + i * 32) * kColumns);
    }
  }
};

// o = o alpha + P V, tile after tile: those of a chunk that are there. `first`: its first tile in
// the segment, `stage_tile`: in V's memory.
template <int kColumns>
__device__ void multiply_chunk(float (&o)[4], const ValuesShared<kColumns>& shared,
                               const Segment& segment, const FragmentPlaces<kColumns>& places,
                               int rows, int first, int stage_tile, int there, int lane) {
  float4 alphas[2];  // of two rows, of the chunk's tiles
#pragma unroll
  for (int h = 0; h < 2; ++h) {
    const int row = min(lane / 4 + h * 8, rows - 1);
    alphas[h] = *reinterpret_cast<const float4*>(&shared.alphas[segment.tile(row, first)]);
  }
  TileFragments<kColumns> tile[2];
  tile[0].read(places, first, stage_tile);
#pragma unroll
  for (int t = 0; t < kChunkTiles; ++t) {
    if (t >= there) continue;
    if (t + 1 < there) tile[(t + 1) % 2].read(places, first + t + 1, stage_tile + t + 1);
#pragma unroll
    for (int e = 0; e < 4; ++e) {
      const float4& of = alphas[e / 2];
      o[e] = o[e] * (t == 0 ? of.x : t == 1 ? of.y : t == 2 ? of.z : of.w);
    }
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      step(o, tile[t % 2].p[i], tile[t % 2].v[i / 2][i % 2 * 2],
           tile[t % 2].v[i / 2][i % 2 * 2 + 1]);
    }
  }
}

template <int kColumns>
__global__ void __launch_bounds__(kThreads)
    decode_kernel(Attention size, Pages pages, const uint16_t* q, const uint16_t* k,
                  const uint16_t* v, Scores scores, uint16_t* out, Fault* fault) {
  extern __shared__ __align__(128) char memory[];
  auto& shared = *reinterpret_cast<ValuesShared<kColumns>*>(memory);
  static_assert(kColumns / 8 < kWarps);
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const bool adds_l = warp == kWarps - 1;  // has no columns
  const int head_dim = static_cast<int>(size.head_dim);
  const int first_column = static_cast<int>(blockIdx.x) * kColumns;
  const int columns = max(min(head_dim - first_column, kColumns), 0);
  if (!pages.tables_are_settled) wait_for_earlier_kernels();
  const DecodeRows rows = rows_of_token(size, pages, blockIdx.z, blockIdx.y, fault);
  if (pages.tables_are_settled) wait_for_earlier_kernels();
  const int64_t first_row = rows.first_row(size);
  const int tiles = rows.sequence < 0 ? 0 : rows.tiles();
  const int chunks = (tiles + kChunkTiles - 1) / kChunkTiles;
  ValuesFetch<kColumns> values(shared, {pages, size.kv_heads * size.head_dim, 0, rows.sequence},
                               chunks == 0 ? 0 : rows.keys,
                               v + rows.kv_head * head_dim + first_column, columns);
  const bool fetches = warp >= values.kFirstWarp;
  const auto fetch = [&](int chunk) {
    values.fetch_values(chunk);
    values.fetch_pages(chunk + kStages);
    commit_copies();
  };
  if (fetches) {
    for (int chunk = 0; chunk < kStages; ++chunk) values.fetch_pages(chunk);
    commit_copies();
  }
  if (chunks > 0) find_scores(size, pages, rows, q, k, scores, fault);
  if (fetches) {
    wait_copies<0>();
    for (int chunk = 0; chunk < kStages; ++chunk) values.find_rows(chunk, fault);
  }
  __syncthreads();
  if (fetches) {
    for (int chunk = 0; chunk < kStages - 1; ++chunk) fetch(chunk);
  }
  if (chunks > 0) sync_cluster();
  float o[4] = {};
  float l = 0.0f;
  Segment segment = Segment::at(0, 0, rows.rows);
  const FragmentPlaces<kColumns> places(shared, segment, rows.rows, warp, lane);
  for (int chunk = 0; chunk < chunks; ++chunk) {
    if (chunk == segment.first + segment.chunks) {
      segment = Segment::at(chunk, chunks, rows.rows);
      __syncthreads();  // the weights before are done with
      find_weights(rows, size, scores, segment, shared);
    }
    if (fetches) wait_copies<kStages - 2>();
    __syncthreads();  // the chunk is here, and the one before it done with
    if (fetches) {
      fetch(chunk + kStages - 1);
      values.find_rows(chunk + kStages, fault);
    }
    const int there = min(tiles - chunk * kChunkTiles, kChunkTiles);
    const int first = (chunk - segment.first) * kChunkTiles;
    if (adds_l && lane < rows.rows) {
#pragma unroll
      for (int t = 0; t < kChunkTiles; ++t) {
        if (t >= there) continue;
        const float product = l * shared.alphas[segment.tile(lane, first + t)];
        l = product + shared.sums[segment.tile(lane, first + t)];
      }
    }
    if (warp * 8 >= columns) continue;
    multiply_chunk(o, shared, segment, places, rows.rows, first, chunk % kStages * kChunkTiles,
                   there, lane);
  }
  if (adds_l && lane < rows.rows) shared.l[lane] = l;
  __syncthreads();
  if (warp * 8 >= columns) return;
#pragma unroll
  for (int e = 0; e < 4; ++e) {
    const int row = lane / 4 + e / 2 * 8;
    const int column = warp * 8 + lane % 4 * 2 + e % 2;
    if (row >= rows.rows || column >= columns) continue;
    out[(first_row + row) * head_dim + first_column + column] =
        chunks == 0 ? uint16_t{0} : f32_to_bf16(o[e] / shared.l[row]);
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
    run(decode_kernel<16>, 16, sizeof(ValuesShared<16>));
  } else if (clusters <= 16) {
    run(decode_kernel<32>, 32, sizeof(ValuesShared<32>));
  } else {
    run(decode_kernel<64>, 64, sizeof(ValuesShared<64>));
  }
}

}  // namespace samebits::cuda
