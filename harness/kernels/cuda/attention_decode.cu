// Attention over pages where sequences have a query or few: each token by itself, in three kernels
// that put as much of a sequence on the card at once as its chain allows.
//
//   scores    a block a tile of keys: s = (q . k) * scale, and the tile's maximum of each row
//   weights   a block a tile again: m from the maxima so far, then alpha, P and the sum of p
//   values    a block 32 columns of O, the chain over all keys, and l beside it
//
// The rows of a block are query heads that share a key-value head. All see the same keys, so
// nothing needs masking but the end of the last tile, which is filled with zeros.

#include <algorithm>

#include "harness/kernels/cuda/attention.cuh"
#include "harness/kernels/cuda/launch.cuh"

namespace samebits::cuda {
namespace {

constexpr int kRows = 16;
constexpr int kWarps = 4;
constexpr int kThreads = kWarps * 32;

// Grids: x tokens; y key-value heads times row groups; z tiles or columns.
struct DecodeRows {
  int64_t kv_head;
  int64_t first_head;  // query head
  int rows;
  int64_t sequence;  // -1: the token is padding, or faulty
  int64_t keys;      // that the token sees

  // Of [tokens, H] rows.
  __device__ int64_t first_row(const Attention& size) const {
    return static_cast<int64_t>(blockIdx.x) * size.heads + first_head;
  }
  __device__ int tiles() const {
    return static_cast<int>((keys + kAttentionTile - 1) / kAttentionTile);
  }
};

__device__ DecodeRows rows_of_token(const Attention& size, const Pages& pages, Fault* fault) {
  const int64_t group = size.heads / size.kv_heads;
  const int64_t parts = (group + kRows - 1) / kRows;
  DecodeRows rows{};
  rows.kv_head = blockIdx.y / parts;
  const int64_t first = blockIdx.y % parts * kRows;
  rows.first_head = rows.kv_head * group + first;
  rows.rows = static_cast<int>(min(group - first, static_cast<int64_t>(kRows)));
  rows.sequence = -1;
  const SequencePart part = find_token(size, blockIdx.x, fault);
  if (part.sequence < 0) return rows;
  const int64_t length = pages.seq_lens[part.sequence];
  if (length < part.length) {
    raise(fault, FaultKind::kKeys, part.sequence, length, part.length);
    return rows;
  }
  const int64_t capacity = pages.table_width * pages.page_rows;
  rows.sequence = part.sequence;
  rows.keys = length - part.length + part.part + 1;
  if (rows.keys > capacity) {
    raise(fault, FaultKind::kPages, part.sequence, capacity + 1, capacity);
    rows.keys = capacity;
  }
  return rows;
}

// What the kernels leave each other in the workspace, of [tokens, H] rows and of tiles.
struct Weights {
  int64_t tiles;     // that the page table can hold
  float* scores;     // [T * H, tiles * 64]
  float* maxima;     // [T * H, tiles]
  float* alphas;     // [T * H, tiles]
  float* sums;       // [T * H, tiles]
  uint16_t* values;  // [T * H, tiles * 64]: P

  static constexpr int64_t kFloats = kAttentionTile + 3 + kAttentionTile / 2;  // of a row's tile
};

// ---- scores ------------------------------------------------------------------------------------
// Four neighbouring elements, a thread's share of a step: the step adds its 16 terms in any order,
// so both operands may have them in this one.
__device__ uint2 four(const uint16_t* row, int k) {
  return row == nullptr ? uint2{} : *reinterpret_cast<const uint2*>(row + k);
}

__global__ void __launch_bounds__(kThreads)
    scores_kernel(Attention size, Pages pages, const uint16_t* q, const uint16_t* k, Weights to,
                  Fault* fault) {
  __shared__ float largest[kWarps][kRows];
  wait_for_earlier_kernels();
  const DecodeRows rows = rows_of_token(size, pages, fault);
  if (rows.sequence < 0) return;
  const int lane = static_cast<int>(threadIdx.x % 32);
  const int warp = static_cast<int>(threadIdx.x / 32);
  const int own = lane / 4;  // row, and key of eight
  const int head_dim = static_cast<int>(size.head_dim);
  const int64_t first_row = rows.first_row(size);
  const Keys keys{pages, size.kv_heads * size.head_dim, 0, rows.sequence};
  const uint16_t* q_rows[2];
#pragma unroll
  for (int h = 0; h < 2; ++h) {
    const int row = own + h * 8;
    q_rows[h] = row < rows.rows ? q + (first_row + row) * head_dim : nullptr;
  }

  for (int64_t tile = blockIdx.z; tile < rows.tiles(); tile += gridDim.z) {
    const int64_t first_key = tile * kAttentionTile + warp * 16;
    const int64_t own_keys[2] = {first_key + own, first_key + own + 8};
    int32_t key_pages[2];
    const uint16_t* k_rows[2];
#pragma unroll
    for (int j = 0; j < 2; ++j) {
      key_pages[j] = own_keys[j] < rows.keys ? keys.page(own_keys[j]) : 0;
    }
#pragma unroll
    for (int j = 0; j < 2; ++j) {
      const int64_t at =
          own_keys[j] < rows.keys ? keys.place(own_keys[j], key_pages[j], fault) : -1;
      k_rows[j] = at < 0 ? nullptr : k + at + rows.kv_head * head_dim;
    }
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
          most = score > most ? score : most;
        }
      }
      for (int width = 1; width <= 2; width *= 2) {
        const float other = __shfl_xor_sync(0xffffffffu, most, width);
        most = other > most ? other : most;
      }
      if (lane % 4 == 0) largest[warp][row] = most;
    }
    __syncthreads();
    if (static_cast<int>(threadIdx.x) < rows.rows) {
      float most = -INFINITY;
      for (int w = 0; w < kWarps; ++w) {
        const float other = largest[w][threadIdx.x];
        most = other > most ? other : most;
      }
      to.maxima[(first_row + threadIdx.x) * to.tiles + tile] = most;
    }
    __syncthreads();  // `largest` may be written again
  }
}

// ---- weights -----------------------------------------------------------------------------------
// A warp a row of a tile; a lane has keys `lane` and `lane + 32`.
__global__ void __launch_bounds__(kThreads)
    weights_kernel(Attention size, Pages pages, Weights weights, Fault* fault) {
  wait_for_earlier_kernels();
  const DecodeRows rows = rows_of_token(size, pages, fault);
  if (rows.sequence < 0) return;
  const int lane = static_cast<int>(threadIdx.x % 32);
  const int warp = static_cast<int>(threadIdx.x / 32);
  for (int64_t tile = blockIdx.z; tile < rows.tiles(); tile += gridDim.z) {
    const int64_t left = rows.keys - tile * kAttentionTile;
    const int count = static_cast<int>(min(left, static_cast<int64_t>(kAttentionTile)));
    for (int row = warp; row < rows.rows; row += kWarps) {
      const int64_t at = (rows.first_row(size) + row) * weights.tiles;
      const int64_t first = (at + tile) * kAttentionTile;
      float scores[2];
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        scores[i] = lane + 32 * i < count ? weights.scores[first + lane + 32 * i] : -INFINITY;
      }
      float before = -INFINITY;
#pragma unroll 4
      for (int64_t t = lane; t < tile; t += 32) {
        const float other = weights.maxima[at + t];
        before = other > before ? other : before;
      }
      for (int width = 16; width > 0; width /= 2) {
        const float other = __shfl_xor_sync(0xffffffffu, before, width);
        before = other > before ? other : before;
      }
      const float own = weights.maxima[at + tile];
      const float m = own > before ? own : before;
      float p[2];
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        p[i] = lane + 32 * i < count ? exp_f32(scores[i] - m) : 0.0f;
        weights.values[first + lane + 32 * i] = f32_to_bf16(p[i]);
      }
      // Keys of the lane's residue mod 8 in ascending order, then the residues by the tree.
      float sum = 0.0f;
#pragma unroll
      for (int j = 0; j < kAttentionTile / 8; ++j) {
        const float next = __shfl_sync(0xffffffffu, p[j / 4], lane % 8 + j % 4 * 8);
        if (lane % 8 + j * 8 < count) sum = sum + next;
      }
      for (int width = 1; width <= 4; width *= 2) {
        sum = sum + __shfl_xor_sync(0xffffffffu, sum, width);
      }
      if (lane == 0) {
        weights.alphas[at + tile] = exp_f32(before - m);
        weights.sums[at + tile] = sum;
      }
    }
  }
}

// ---- values ------------------------------------------------------------------------------------
constexpr int kChunkTiles = 4;  // between two waits of a block
constexpr int kChunk = kChunkTiles * kAttentionTile;
constexpr int kColumns = 8 * kWarps;  // of O, for a block: 8 a warp
constexpr int kPieces = kColumns / 8;
constexpr int kValuesThreads = kThreads + 32;  // the last warp brings P and adds up l

struct ValuesShared {
  uint16_t v[2][kChunk * kColumns];  // two chunks: one at work, one on its way
  uint16_t p[2][kRows * kChunk];
  float l[kRows];
};

// A row of a chunk's V is 64 bytes: the 16-byte pieces of eight neighbouring rows that one matrix
// load reads lie in different banks.
__device__ uint16_t* value_piece(uint16_t* v, int key, int piece) {
  return v + key * kColumns + ((piece ^ (key / 2 % 4)) * 8);
}
// A row of P is a multiple of 128 bytes; the same for its pieces.
__device__ uint16_t* weight_piece(uint16_t* p, int row, int piece) {
  return p + row * kChunk + ((piece ^ row % 8) * 8);
}

// One block's part of the work.
struct ValuesBlock {
  DecodeRows rows;
  Keys keys;
  Weights weights;
  const uint16_t* v;  // of the block's head and first column
  int columns;
  int64_t first_tile;  // in the weights, of the block's first row
  ValuesShared& shared;

  __device__ void fetch_values(int chunk, Fault* fault) const;
  __device__ void fetch_weights(int chunk, int lane) const;
};

// By the first kThreads threads.
__device__ void ValuesBlock::fetch_values(int chunk, Fault* fault) const {
  constexpr int kEach = kChunk * kPieces / kThreads;
  const int piece = static_cast<int>(threadIdx.x) % kPieces;
  const int first = static_cast<int>(threadIdx.x) / kPieces;
  const auto key_of = [&](int i) {
    return static_cast<int64_t>(chunk) * kChunk + first + i * (kThreads / kPieces);
  };
  int32_t pages[kEach];
#pragma unroll
  for (int i = 0; i < kEach; ++i) pages[i] = key_of(i) < rows.keys ? keys.page(key_of(i)) : 0;
#pragma unroll
  for (int i = 0; i < kEach; ++i) {
    const bool is_there = key_of(i) < rows.keys && piece * 8 < columns;
    const int64_t at = is_there ? keys.place(key_of(i), pages[i], fault) : -1;
    copy_16(value_piece(shared.v[chunk % 2], first + i * (kThreads / kPieces), piece),
            at < 0 ? v : v + at + piece * 8, at < 0 ? 0 : 16);
  }
}

// By the last warp: a row of a chunk is 32 pieces.
__device__ void ValuesBlock::fetch_weights(int chunk, int lane) const {
  const int64_t first_key = static_cast<int64_t>(chunk) * kChunk + lane * 8;
  if (first_key >= rows.tiles() * kAttentionTile) return;
  for (int row = 0; row < rows.rows; ++row) {
    const int64_t at = (first_tile + row * weights.tiles) * kAttentionTile + first_key;
    copy_16(weight_piece(shared.p[chunk % 2], row, lane), weights.values + at, 16);
  }
}

// What a warp reads of a tile: P, and eight columns of V.
struct TileFragments {
  uint32_t p[4][4];
  uint32_t v[2][4];

  __device__ void read(uint16_t* p_chunk, uint16_t* v_chunk, int tile, int warp, int lane) {
    const int key = tile * kAttentionTile;
#pragma unroll
    for (int t = 0; t < 4; ++t) {
      load_matrices(p[t], weight_piece(p_chunk, lane % 16, key / 8 + 2 * t + lane / 16));
    }
#pragma unroll
    for (int t = 0; t < 2; ++t) {
      load_matrices_transposed(v[t], value_piece(v_chunk, key + t * 32 + lane, warp));
    }
  }
};

// alpha of a thread's two rows, of a chunk's tiles; 1 where there is none.
struct ChunkAlphas {
  float upper[kChunkTiles];
  float lower[kChunkTiles];

  __device__ void read(const ValuesBlock& block, int chunk, int lane) {
    const auto alpha = [&](int row, int t) {
      const int tile = chunk * kChunkTiles + t;
      return row < block.rows.rows && tile < block.rows.tiles()
                 ? block.weights.alphas[block.first_tile + row * block.weights.tiles + tile]
                 : 1.0f;
    };
#pragma unroll
    for (int t = 0; t < kChunkTiles; ++t) {
      upper[t] = alpha(lane / 4, t);
      lower[t] = alpha(lane / 4 + 8, t);
    }
  }
};

__global__ void __launch_bounds__(kValuesThreads)
    values_kernel(Attention size, Pages pages, const uint16_t* v, Weights weights, uint16_t* out,
                  Fault* fault) {
  extern __shared__ __align__(128) char memory[];
  ValuesShared& shared = *reinterpret_cast<ValuesShared*>(memory);
  wait_for_earlier_kernels();
  const int thread = static_cast<int>(threadIdx.x);
  const int lane = thread % 32;
  const int warp = thread / 32;
  const bool is_last_warp = warp == kWarps;
  const int head_dim = static_cast<int>(size.head_dim);
  const int first_column = static_cast<int>(blockIdx.z) * kColumns;
  const DecodeRows rows = rows_of_token(size, pages, fault);
  const int64_t first_row = rows.first_row(size);
  const ValuesBlock block{rows,
                          {pages, size.kv_heads * size.head_dim, 0, rows.sequence},
                          weights,
                          v + rows.kv_head * head_dim + first_column,
                          min(head_dim - first_column, kColumns),
                          first_row * weights.tiles,
                          shared};
  const int tiles = rows.sequence < 0 ? 0 : rows.tiles();
  const int chunks = (tiles + kChunkTiles - 1) / kChunkTiles;
  const auto fetch = [&](int chunk) {
    if (chunk < chunks) {
      is_last_warp ? block.fetch_weights(chunk, lane) : block.fetch_values(chunk, fault);
    }
    commit_copies();
  };

  for (int i = thread; i < 2 * kRows * kChunk; i += kValuesThreads) shared.p[0][i] = 0;
  __syncthreads();
  fetch(0);
  ChunkAlphas alphas;
  if (chunks > 0 && !is_last_warp) alphas.read(block, 0, lane);
  float o[4] = {};
  float l = 0.0f;
  for (int chunk = 0; chunk < chunks; ++chunk) {
    fetch(chunk + 1);
    ChunkAlphas next;
    if (!is_last_warp) next.read(block, chunk + 1, lane);
    wait_copies<1>();
    __syncthreads();
    const int there = min(tiles - chunk * kChunkTiles, kChunkTiles);
    if (is_last_warp) {
      const int64_t at = block.first_tile + lane * weights.tiles + chunk * kChunkTiles;
#pragma unroll
      for (int t = 0; t < kChunkTiles; ++t) {
        if (lane >= rows.rows || t >= there) continue;
        const float product = l * weights.alphas[at + t];
        l = product + weights.sums[at + t];
      }
    } else {
      TileFragments tile[2];
      tile[0].read(shared.p[chunk % 2], shared.v[chunk % 2], 0, warp, lane);
#pragma unroll
      for (int t = 0; t < kChunkTiles; ++t) {
        if (t >= there) continue;
        if (t + 1 < there) {
          tile[(t + 1) % 2].read(shared.p[chunk % 2], shared.v[chunk % 2], t + 1, warp, lane);
        }
        o[0] = o[0] * alphas.upper[t];
        o[1] = o[1] * alphas.upper[t];
        o[2] = o[2] * alphas.lower[t];
        o[3] = o[3] * alphas.lower[t];
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          step(o, tile[t % 2].p[i], tile[t % 2].v[i / 2][i % 2 * 2],
               tile[t % 2].v[i / 2][i % 2 * 2 + 1]);
        }
      }
    }
    alphas = next;
    __syncthreads();  // this chunk's memory may be written again
  }
  if (is_last_warp && lane < rows.rows) shared.l[lane] = l;
  __syncthreads();
  if (is_last_warp) return;
#pragma unroll
  for (int e = 0; e < 4; ++e) {
    const int row = lane / 4 + e / 2 * 8;
    const int column = warp * 8 + lane % 4 * 2 + e % 2;
    if (row >= rows.rows || column >= block.columns) continue;
    out[(first_row + row) * head_dim + first_column + column] =
        chunks == 0 ? uint16_t{0} : f32_to_bf16(o[e] / shared.l[row]);
  }
}

int64_t tiles_of(const Pages& pages) {
  return (pages.table_width * pages.page_rows + kAttentionTile - 1) / kAttentionTile;
}

}  // namespace

bool is_decode(const Attention& size, const Pages& pages, const void* q, const void* k,
               const void* v) {
  return decode_workspace(size, pages) > 0 && size.head_dim % 16 == 0 &&
         rows_are_aligned(q, size.head_dim) && rows_are_aligned(k, size.head_dim) &&
         rows_are_aligned(v, size.head_dim);
}

int64_t decode_workspace(const Attention& size, const Pages& pages) {
  constexpr int64_t kMost = int64_t{1} << 26;  // 256 MiB: beyond, the other kernel does
  const int64_t floats = size.tokens * size.heads * tiles_of(pages) * Weights::kFloats;
  return size.bf16 && size.tokens <= size.sequences && floats <= kMost ? floats : 0;
}

void decode_attention(const Attention& size, const Pages& pages, const void* q, const void* k,
                      const void* v, void* out, float* workspace, cudaStream_t stream) {
  constexpr int64_t kMostTiles = 128;  // blocks for one token and head; each goes on to others
  const int64_t tiles = tiles_of(pages);
  const int64_t all = size.tokens * size.heads * tiles;
  Weights weights{};
  weights.tiles = tiles;
  weights.scores = workspace;
  weights.values = reinterpret_cast<uint16_t*>(workspace + all * kAttentionTile);
  weights.maxima = workspace + all * (kAttentionTile + kAttentionTile / 2);
  weights.alphas = weights.maxima + all;
  weights.sums = weights.alphas + all;
  const int64_t parts = (size.heads / size.kv_heads + kRows - 1) / kRows;
  const auto grid = [&](int64_t z) {
    return dim3(static_cast<unsigned>(size.tokens), static_cast<unsigned>(size.kv_heads * parts),
                static_cast<unsigned>(z));
  };
  const dim3 by_tiles = grid(std::clamp<int64_t>(tiles, 1, kMostTiles));
  launch(scores_kernel, by_tiles, kThreads, 0, stream, size, pages, static_cast<const uint16_t*>(q),
         static_cast<const uint16_t*>(k), weights, fault_record());
  launch(weights_kernel, by_tiles, kThreads, 0, stream, size, pages, weights, fault_record());
  allow_shared_memory(values_kernel, sizeof(ValuesShared));
  launch(values_kernel, grid((size.head_dim + kColumns - 1) / kColumns), kValuesThreads,
         sizeof(ValuesShared), stream, size, pages, static_cast<const uint16_t*>(v), weights,
         static_cast<uint16_t*>(out), fault_record());
}

}  // namespace samebits::cuda
