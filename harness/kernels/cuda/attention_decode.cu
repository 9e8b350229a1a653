// Attention over pages where sequences have a query or few: each token by itself, a cluster of
// blocks for each key-value head, which put as much of a sequence on the card at once as its chain
// allows.
//
//   scores    a block a tile of keys: s = (q . k) * scale, and the tile's maximum of each row
//   weights   a block its tiles again: m from the maxima so far, then alpha, P and the sum of p
//   values    a block some columns of O, the chain over all keys, and l beside it
//
// The rows of a block are query heads that share a key-value head. All see the same keys, so
// nothing needs masking but the end of the last tile, which is filled with zeros.

#include <algorithm>

#include "harness/kernels/cuda/attention_decode.cuh"
#include "harness/kernels/cuda/launch.cuh"

namespace samebits::cuda {
namespace {

constexpr int kRows = kDecodeRows;
constexpr int kWarps = 4;  // that compute; one more brings P
constexpr int kThreads = kWarps * 32;
constexpr int kAllThreads = kThreads + 32;

// The grid: x the blocks of a cluster; y key-value heads times row groups; z tokens.

// What the blocks of a cluster leave each other in the workspace, of [tokens, H] rows and of tiles.
struct Weights {
  int64_t tiles;     // that the page table can hold
  float* scores;     // [T * H, tiles * 64]
  float* maxima;     // [T * H, tiles]
  float* alphas;     // [T * H, tiles]
  float* sums;       // [T * H, tiles]
  uint16_t* values;  // [T * H, tiles * 64]: P

  static constexpr int64_t kFloats = kAttentionTile + 3 + kAttentionTile / 2;  // of a row's tile
};

// Among the warps that compute.
__device__ void sync_first_warps() { asm volatile("bar.sync 1, %0;\n" ::"n"(kThreads) : "memory"); }

// ---- scores ------------------------------------------------------------------------------------
// Four neighbouring elements, a thread's share of a step: the step adds its 16 terms in any order,
// so both operands may have them in this one.
__device__ uint2 four(const uint16_t* row, int k) {
  return row == nullptr ? uint2{} : *reinterpret_cast<const uint2*>(row + k);
}

// By the first kThreads threads.
__device__ void find_scores(const Attention& size, const Pages& pages, const DecodeRows& rows,
                            const uint16_t* q, const uint16_t* k, const Weights& to, Fault* fault) {
  __shared__ float largest[kWarps][kRows];
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

  for (int64_t tile = blockIdx.x; tile < rows.tiles(); tile += gridDim.x) {
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
    sync_first_warps();
    if (static_cast<int>(threadIdx.x) < rows.rows) {
      float most = -INFINITY;
      for (int w = 0; w < kWarps; ++w) {
        const float other = largest[w][threadIdx.x];
        most = other > most ? other : most;
      }
      to.maxima[(first_row + threadIdx.x) * to.tiles + tile] = most;
    }
    sync_first_warps();  // `largest` may be written again
  }
}

// ---- weights -----------------------------------------------------------------------------------
// A warp a row of a tile; a lane has keys `lane` and `lane + 32`.
__device__ void find_weights(const Attention& size, const DecodeRows& rows,
                             const Weights& weights) {
  const int lane = static_cast<int>(threadIdx.x % 32);
  const int warp = static_cast<int>(threadIdx.x / 32);
  for (int64_t tile = blockIdx.x; tile < rows.tiles(); tile += gridDim.x) {
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

template <int kColumns>
struct ValuesShared {
  uint16_t v[2][kChunk * kColumns];  // two chunks: one at work, one on its way
  uint16_t p[2][kRows * kChunk];
  float l[kRows];
};

// Rows of a chunk's V are 32 or 64 bytes: the 16-byte pieces of eight neighbouring rows that one
// matrix load reads lie in different banks.
template <int kColumns>
__device__ uint16_t* value_piece(uint16_t* v, int key, int piece) {
  constexpr int kPieces = kColumns / 8;
  return v + key * kColumns + ((piece ^ (key * kPieces / 8 % kPieces)) * 8);
}
// A row of P is a multiple of 128 bytes; the same for its pieces.
__device__ uint16_t* weight_piece(uint16_t* p, int row, int piece) {
  return p + row * kChunk + ((piece ^ row % 8) * 8);
}

// One block's part of the work.
template <int kColumns>
struct ValuesBlock {
  DecodeRows rows;
  Keys keys;
  Weights weights;
  const uint16_t* v;   // of the block's head and first column
  int columns;         // that there are, 0 or more
  int64_t first_tile;  // in the weights, of the block's first row
  ValuesShared<kColumns>& shared;

  __device__ void fetch_values(int chunk, Fault* fault) const;
  __device__ void fetch_weights(int chunk, int lane) const;
};

// By the first kThreads threads.
template <int kColumns>
__device__ void ValuesBlock<kColumns>::fetch_values(int chunk, Fault* fault) const {
  constexpr int kPieces = kColumns / 8;
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
    copy_16(value_piece<kColumns>(shared.v[chunk % 2], first + i * (kThreads / kPieces), piece),
            at < 0 ? v : v + at + piece * 8, at < 0 ? 0 : 16);
  }
}

// By the last warp: a row of a chunk is 32 pieces.
template <int kColumns>
__device__ void ValuesBlock<kColumns>::fetch_weights(int chunk, int lane) const {
  const int64_t first_key = static_cast<int64_t>(chunk) * kChunk + lane * 8;
  if (first_key >= rows.tiles() * kAttentionTile) return;
  for (int row = 0; row < rows.rows; ++row) {
    const int64_t at = (first_tile + row * weights.tiles) * kAttentionTile + first_key;
    copy_16(weight_piece(shared.p[chunk % 2], row, lane), weights.values + at, 16);
  }
}

// What a warp reads of a tile: P, and eight columns of V.
template <int kColumns>
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
      load_matrices_transposed(v[t], value_piece<kColumns>(v_chunk, key + t * 32 + lane, warp));
    }
  }
};

// alpha of a thread's two rows, of a chunk's tiles; 1 where there is none.
struct ChunkAlphas {
  float upper[kChunkTiles];
  float lower[kChunkTiles];

  template <int kColumns>
  __device__ void read(const ValuesBlock<kColumns>& block, int chunk, int lane) {
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

template <int kColumns>
__global__ void __launch_bounds__(kAllThreads)
    decode_kernel(Attention size, Pages pages, const uint16_t* q, const uint16_t* k,
                  const uint16_t* v, Weights weights, uint16_t* out, Fault* fault) {
  extern __shared__ __align__(128) char memory[];
  auto& shared = *reinterpret_cast<ValuesShared<kColumns>*>(memory);
  const int thread = static_cast<int>(threadIdx.x);
  const int lane = thread % 32;
  const int warp = thread / 32;
  const bool is_last_warp = warp == kWarps;
  const int head_dim = static_cast<int>(size.head_dim);
  const int first_column = static_cast<int>(blockIdx.x) * kColumns;
  for (int i = thread; i < 2 * kRows * kChunk; i += kAllThreads) shared.p[0][i] = 0;
  wait_for_earlier_kernels();
  const DecodeRows rows = rows_of_token(size, pages, blockIdx.z, blockIdx.y, fault);
  const int64_t first_row = rows.first_row(size);
  const ValuesBlock<kColumns> block{rows,
                                    {pages, size.kv_heads * size.head_dim, 0, rows.sequence},
                                    weights,
                                    v + rows.kv_head * head_dim + first_column,
                                    max(min(head_dim - first_column, kColumns), 0),
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
  if (!is_last_warp) {  // V needs no weights
    fetch(0);
    fetch(1);
  }
  if (tiles > 0) {
    if (!is_last_warp) find_scores(size, pages, rows, q, k, weights, fault);
    sync_cluster();
    if (!is_last_warp) find_weights(size, rows, weights);
    sync_cluster();
  }
  if (is_last_warp) {
    fetch(0);
    fetch(1);
  }
  ChunkAlphas alphas;
  if (chunks > 0 && !is_last_warp) alphas.read(block, 0, lane);
  float o[4] = {};
  float l = 0.0f;
  for (int chunk = 0; chunk < chunks; ++chunk) {
    ChunkAlphas next{};
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
    } else if (warp * 8 < block.columns) {
      TileFragments<kColumns> tile[2];
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
    fetch(chunk + 2);
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

// What clusters leave each other.
int64_t cluster_floats(const Attention& size, const Pages& pages) {
  return size.tokens * size.heads * tiles_of(pages) * Weights::kFloats;
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
  Weights weights{};
  weights.tiles = tiles;
  weights.scores = workspace;
  weights.values = reinterpret_cast<uint16_t*>(workspace + all * kAttentionTile);
  weights.maxima = workspace + all * (kAttentionTile + kAttentionTile / 2);
  weights.alphas = weights.maxima + all;
  weights.sums = weights.alphas + all;
  const int64_t parts = row_groups(size);
  const auto run = [&](auto kernel, int columns, size_t bytes) {
    int cluster = 1;  // a power of two, which holds all columns
    while (cluster * columns < size.head_dim) cluster *= 2;
    allow_shared_memory(kernel, bytes);
    launch_clusters(
        kernel, cluster,
        dim3(static_cast<unsigned>(cluster), static_cast<unsigned>(size.kv_heads * parts),
             static_cast<unsigned>(size.tokens)),
        kAllThreads, bytes, stream, size, pages, static_cast<const uint16_t*>(q),
        static_cast<const uint16_t*>(k), static_cast<const uint16_t*>(v), weights,
        static_cast<uint16_t*>(out), fault_record());
  };
  // Few clusters: large ones, for more of the card.
  constexpr int64_t kManyClusters = 64;
  if (size.head_dim <= 128 && size.tokens * size.kv_heads * parts <= kManyClusters) {
    run(decode_kernel<16>, 16, sizeof(ValuesShared<16>));
  } else {
    run(decode_kernel<32>, 32, sizeof(ValuesShared<32>));
  }
}

}  // namespace samebits::cuda
