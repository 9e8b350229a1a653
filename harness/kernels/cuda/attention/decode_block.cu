// Decode's attention where a block has all keys of a token and key-value head: tile after tile, as
// flash_attention.h writes it down. Four warps share a tile's keys for S, and O's columns for P V.

#include "harness/kernels/cuda/attention/decode.cuh"
#include "harness/kernels/cuda/runtime/launch.cuh"

namespace samebits::cuda {
namespace {

constexpr int kRows = kDecodeRows;
constexpr int kWarps = 4;
constexpr int kThreads = kWarps * 32;

// kStages: tiles in shared memory, one at work and the others on their way.
template <int kDim, int kStages>
struct Shared {
  uint16_t k[kStages][kAttentionTile * kDim];
  uint16_t v[kStages][kAttentionTile * kDim];
  uint16_t rounded[kRows * kAttentionTile];  // P
  float p[kRows][kAttentionTile + 8];        // scores, then P before it is rounded; eight: banks
  float largest[kWarps][kRows];              // of a tile's scores, of each warp's keys
  float m[2][kRows];                         // by the tile's parity: before it
  float alpha[kRows];
  float l[kRows];
  int64_t places[kStages][kAttentionTile];  // of a tile's keys, elements; negative: not there
};

// Two rows of a warp's fragment: lane / 4 and that + 8.
__device__ int row_of(int lane, int half) { return lane / 4 + half * 8; }

// The queries' fragments, of all of head_dim.
template <int kDim>
struct Queries {
  uint32_t a[kDim / 16][4];

  // A thread has four pairs of neighbouring elements a step (mma.cuh).
  __device__ Queries(const DecodeRows& rows, const Attention& size, const uint16_t* q, int lane) {
    const auto head_dim = static_cast<int>(size.head_dim);
#pragma unroll
    for (int d = 0; d < kDim / 16; ++d) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int row = row_of(lane, i % 2);
        const int column = d * 16 + i / 2 * 8 + lane % 4 * 2;
        const uint16_t* from = q + (rows.first_row(size) + row) * head_dim + column;
        const bool is_there = row < rows.rows && column < head_dim;
        a[d][i] = is_there ? *reinterpret_cast<const uint32_t*>(from) : 0;
      }
    }
  }
};

// A tile of keys and of values, on their way.
template <int kDim, int kStages>
__device__ void fetch_tile(Shared<kDim, kStages>& shared, int stage, const uint16_t* k,
                           const uint16_t* v, int head_dim) {
  constexpr int kChunks = kDim / 8;  // of a row
  const SharedTile<kDim> to_k{shared.k[stage]};
  const SharedTile<kDim> to_v{shared.v[stage]};
  const int column = static_cast<int>(threadIdx.x) % kChunks * 8;
#pragma unroll
  for (int i = 0; i < kAttentionTile * kChunks / kThreads; ++i) {
    const int row = static_cast<int>(threadIdx.x) / kChunks + i * (kThreads / kChunks);
    const int64_t place = shared.places[stage][row];
    const bool is_there = place >= 0 && column < head_dim;
    const int64_t at = is_there ? place + column : 0;
    copy_16(to_k.chunk(row, column), k + at, is_there ? 16 : 0);
    copy_16(to_v.chunk(row, column), v + at, is_there ? 16 : 0);
  }
}

// Scores of 16 keys, scaled, and their maxima into shared memory.
template <int kDim, int kStages>
__device__ void find_scores(Shared<kDim, kStages>& shared, const Queries<kDim>& queries, int stage,
                            int warp, int lane, int rows, int keys, float scale) {
  const SharedTile<kDim> k{shared.k[stage]};
  uint32_t b[kDim / 16][4];  // all of them before the chain, which waits for each
#pragma unroll
  for (int d = 0; d < kDim / 16; ++d) k.b_fragments(b[d], warp * 16, d * 16, lane);
  float s[2][4] = {};
#pragma unroll
  for (int d = 0; d < kDim / 16; ++d) {
    step(s[0], queries.a[d], b[d][0], b[d][1]);
    step(s[1], queries.a[d], b[d][2], b[d][3]);
  }
#pragma unroll
  for (int h = 0; h < 2; ++h) {
    if (h * 8 >= rows) continue;
    float most = -INFINITY;
#pragma unroll
    for (int j = 0; j < 2; ++j) {
#pragma unroll
      for (int e = 0; e < 2; ++e) {
        const int key = warp * 16 + j * 8 + lane % 4 * 2 + e;
        const float score = s[j][2 * h + e] * scale;
        shared.p[row_of(lane, h)][key] = score;
        if (key < keys) most = larger(most, score);
      }
    }
    for (int width = 1; width <= 2; width *= 2) {
      most = larger(most, __shfl_xor_sync(0xffffffffu, most, width));
    }
    if (lane % 4 == 0) shared.largest[warp][row_of(lane, h)] = most;
  }
}

// P in both forms, each thread some of the scores; m, and alpha, the factor for what was summed
// with the m before.
template <int kDim, int kStages>
__device__ void find_weights(Shared<kDim, kStages>& shared, int tile, int rows, int keys) {
  const SharedTile<kAttentionTile> rounded{shared.rounded};
  for (int i = static_cast<int>(threadIdx.x); i < rows * kAttentionTile; i += kThreads) {
    const int row = i / kAttentionTile;
    const int key = i % kAttentionTile;
    const float before = shared.m[tile % 2][row];
    float largest = before;
#pragma unroll
    for (int w = 0; w < kWarps; ++w) {
      largest = larger(largest, shared.largest[w][row]);
    }
    const float p = key < keys ? exp_f32(shared.p[row][key] - largest) : 0.0f;
    shared.p[row][key] = p;
    rounded.at(row, key) = f32_to_bf16(p);
    if (key != 0) continue;
    shared.m[(tile + 1) % 2][row] = largest;
    shared.alpha[row] = exp_f32(before - largest);
  }
}

template <int kDim, int kStages>
__global__ void __launch_bounds__(kThreads)
    decode_block_kernel(Attention size, Pages pages, const uint16_t* q, const uint16_t* k,
                        const uint16_t* v, uint16_t* out, Fault* fault) {
  extern __shared__ __align__(128) char memory[];
  auto& shared = *reinterpret_cast<Shared<kDim, kStages>*>(memory);
  constexpr int kColumns = kDim / kWarps;  // of O, for a warp
  if (!pages.tables_are_settled) wait_for_earlier_kernels();
  const int thread = static_cast<int>(threadIdx.x);
  const int lane = thread % 32;
  const int warp = thread / 32;
  const auto head_dim = static_cast<int>(size.head_dim);
  // The first pages of the token's own sequence, mostly, are what is looked for, as in decode.cuh.
  const auto token = static_cast<int64_t>(blockIdx.x);
  const Keys own{pages, size.kv_heads * size.head_dim, 0, token};
  const int32_t own_page = token < size.sequences ? own.page(thread) : Keys::kBeyond;
  const DecodeRows rows = rows_of_token(size, pages, token, blockIdx.y, fault);
  const int tiles = rows.sequence < 0 ? 0 : rows.tiles();
  const Keys keys{pages, size.kv_heads * size.head_dim, 0, rows.sequence};
  const auto keys_of = [&](int tile) {
    const int64_t left = rows.keys - static_cast<int64_t>(tile) * kAttentionTile;
    return static_cast<int>(min(left, static_cast<int64_t>(kAttentionTile)));
  };
  // Where a key is takes a division, so a thread finds it once, a tile ahead of its fetch.
  const auto page_of = [&](int tile, int key) {
    return key < keys_of(tile) ? keys.page(static_cast<int64_t>(tile) * kAttentionTile + key) : 0;
  };
  const auto note_place = [&](int tile, int key, int32_t page) {
    shared.places[tile % kStages][key] =
        key < keys_of(tile)
            ? keys.place(static_cast<int64_t>(tile) * kAttentionTile + key, page, fault)
            : -1;
  };
  const auto fetch = [&](int tile) {
    if (tile < tiles) {
      fetch_tile(shared, tile % kStages, k + rows.kv_head * head_dim, v + rows.kv_head * head_dim,
                 head_dim);
    }
    commit_copies();
  };
  for (int i = thread; i < kStages * kAttentionTile; i += kThreads) {
    const int tile = i / kAttentionTile;
    const int key = i % kAttentionTile;
    const bool is_found = i == thread && rows.sequence == token;
    note_place(tile, key, is_found ? own_page : page_of(tile, key));
  }
  // Rows that are not there stay as they are, finite.
  for (int i = thread; i < kRows * kAttentionTile; i += kThreads) {
    shared.rounded[i] = 0;
    shared.p[i / kAttentionTile][i % kAttentionTile] = 0.0f;
  }
  if (thread < kRows) {
    shared.m[0][thread] = -INFINITY;
    shared.alpha[thread] = 1.0f;
  }
  __syncthreads();
  if (pages.tables_are_settled) wait_for_earlier_kernels();
  for (int tile = 0; tile + 1 < kStages; ++tile) fetch(tile);
  const Queries<kDim> queries(rows, size, q, lane);

  float o[kColumns / 8][4] = {};
  float l = 0.0f;  // of row thread / 8
  for (int tile = 0; tile < tiles; ++tile) {
    const int stage = tile % kStages;
    const int32_t page = thread < kAttentionTile ? page_of(tile + kStages, thread) : 0;
    wait_copies<kStages - 2>();
    __syncthreads();  // the tile is here, and the one before it done with
    fetch(tile + kStages - 1);
    find_scores(shared, queries, stage, warp, lane, rows.rows, keys_of(tile), size.scale);
    if (thread < kAttentionTile) note_place(tile + kStages, thread, page);
    const SharedTile<kDim> values{shared.v[stage]};
    uint32_t b[kAttentionTile / 16][kColumns / 16][4];
#pragma unroll
    for (int t = 0; t < kAttentionTile / 16; ++t) {
#pragma unroll
      for (int d = 0; d < kColumns / 16; ++d) {
        values.b_fragments_of_transposed(b[t][d], warp * kColumns + d * 16, t * 16, lane);
      }
    }
    __syncthreads();
    find_weights(shared, tile, rows.rows, keys_of(tile));
    __syncthreads();
    // Keys of the thread's residue mod 8 in ascending order, then the residues by the tree.
    float terms[kAttentionTile / 8];
#pragma unroll
    for (int j = 0; j < kAttentionTile / 8; ++j) {
      terms[j] = shared.p[thread / 8][j * 8 + thread % 8];
    }
    const float alpha[2] = {shared.alpha[row_of(lane, 0)], shared.alpha[row_of(lane, 1)]};
#pragma unroll
    for (int d = 0; d < kColumns / 8; ++d) {
#pragma unroll
      for (int e = 0; e < 4; ++e) o[d][e] = o[d][e] * alpha[e / 2];
    }
#pragma unroll
    for (int t = 0; t < kAttentionTile / 16; ++t) {
      uint32_t a[4];
      SharedTile<kAttentionTile>{shared.rounded}.a_fragment(a, 0, t * 16, lane);
#pragma unroll
      for (int d = 0; d < kColumns / 16; ++d) {
        step(o[2 * d], a, b[t][d][0], b[t][d][1]);
        step(o[2 * d + 1], a, b[t][d][2], b[t][d][3]);
      }
    }
    float sum = 0.0f;
#pragma unroll
    for (int j = 0; j < kAttentionTile / 8; ++j) sum = sum + terms[j];
    for (int width = 1; width <= 4; width *= 2) {
      sum = sum + __shfl_xor_sync(0xffffffffu, sum, width);
    }
    const float product = l * shared.alpha[thread / 8];
    l = product + sum;
  }
  if (thread % 8 == 0) shared.l[thread / 8] = tiles == 0 ? 1.0f : l;  // O is zero then
  __syncthreads();
#pragma unroll
  for (int h = 0; h < 2; ++h) {
    if (h * 8 >= rows.rows) continue;
    const int row = row_of(lane, h);
    uint32_t pairs[kColumns / 8];
#pragma unroll
    for (int d = 0; d < kColumns / 8; ++d) {
      pairs[d] = pack_bf16(o[d][2 * h] / shared.l[row], o[d][2 * h + 1] / shared.l[row]);
    }
    if (row >= rows.rows) continue;
    uint16_t* to = out + (rows.first_row(size) + row) * head_dim;
#pragma unroll
    for (int d = 0; d < kColumns / 8; ++d) {
      const int column = warp * kColumns + d * 8 + lane % 4 * 2;
      if (column < head_dim) *reinterpret_cast<uint32_t*>(to + column) = pairs[d];
    }
  }
}

int64_t blocks_of(const Attention& size) { return size.tokens * size.kv_heads * row_groups(size); }

}  // namespace

bool is_for_single_blocks(const Attention& size, const Pages& pages) {
  constexpr int64_t kFewBlocks = 16;
  constexpr int64_t kManyBlocks = 64;
  const int64_t few_tiles = blocks_of(size) <= kFewBlocks ? 4 : 8;
  return size.head_dim <= 128 && (blocks_of(size) > kManyBlocks || tiles_of(pages) <= few_tiles);
}

void decode_by_single_blocks(const Attention& size, const Pages& pages, const void* q,
                             const void* k, const void* v, void* out, cudaStream_t stream) {
  const auto run = [&](auto kernel, size_t bytes) {
    allow_shared_memory(kernel, bytes);
    launch(kernel,
           dim3(static_cast<unsigned>(size.tokens),
                static_cast<unsigned>(size.kv_heads * row_groups(size))),
           kThreads, bytes, stream, size, pages, static_cast<const uint16_t*>(q),
           static_cast<const uint16_t*>(k), static_cast<const uint16_t*>(v),
           static_cast<uint16_t*>(out), fault_record());
  };
  // With a processor to itself a block looks further ahead; otherwise three share one.
  constexpr int64_t kProcessors = 132;
  const bool is_alone = blocks_of(size) <= kProcessors;
  if (size.head_dim <= 64) {
    is_alone ? run(decode_block_kernel<64, 3>, sizeof(Shared<64, 3>))
             : run(decode_block_kernel<64, 2>, sizeof(Shared<64, 2>));
  } else {
    is_alone ? run(decode_block_kernel<128, 3>, sizeof(Shared<128, 3>))
             : run(decode_block_kernel<128, 2>, sizeof(Shared<128, 2>));
  }
}

}  // namespace samebits::cuda
