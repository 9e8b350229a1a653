// Attention over pages where sequences have a query or few: each token by itself, in two kernels
// that together put as much of a sequence on the card at once as its chain allows.
//
//   scores    a block a tile of keys: s = (q . k) * scale, and the tile's maximum of each row
//   values    a block 32 columns of O: from the scores m, alpha, p and l of every tile, then the
//             chain over all keys
//
// The rows of a block are query heads that share a key-value head. All see the same keys, so
// nothing needs masking but the end of the last tile, which is filled with zeros.

#include <algorithm>

#include "harness/kernels/cuda/attention.cuh"
#include "harness/kernels/cuda/launch.cuh"

namespace samebits::cuda {
namespace {

constexpr int kRows = 16;
constexpr int kThreads = 128;
constexpr int kWarps = kThreads / 32;
constexpr int kChunkTiles = 4;
constexpr int kChunk = kChunkTiles * kAttentionTile;  // keys between two waits of a block
constexpr int kColumns = 8 * kWarps;                  // of O, for a block

// Grids: x tokens; y key-value heads times row groups; z tiles or columns.
struct DecodeRows {
  int64_t kv_head;
  int64_t first_head;  // query head
  int rows;
  int64_t sequence;  // -1: the token is padding, or faulty
  int64_t keys;      // that the token sees
};

__device__ DecodeRows rows_of_token(const Attention& size, const Pages& pages, Fault* fault) {
  const int64_t token = blockIdx.x;
  const int64_t group = size.heads / size.kv_heads;
  const int64_t parts = (group + kRows - 1) / kRows;
  DecodeRows rows{};
  rows.kv_head = blockIdx.y / parts;
  const int64_t first = blockIdx.y % parts * kRows;
  rows.first_head = rows.kv_head * group + first;
  rows.rows = static_cast<int>(min(group - first, static_cast<int64_t>(kRows)));
  rows.sequence = -1;
  const SequencePart part = find_token(size, token, fault);
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

// What both kernels need of the workspace: scores [T * H, tiles * 64], maxima [T * H, tiles].
struct Scores {
  float* scores;
  float* maxima;
  int64_t tiles;  // that the page table can hold

  __device__ float* row(int64_t row) const { return scores + row * tiles * kAttentionTile; }
  __device__ float* maximum(int64_t row) const { return maxima + row * tiles; }
};

// Four neighbouring elements for a thread's share of a step: the step sums its 16 terms in any
// order, so both operands may have them in this one.
__device__ uint2 four(const uint16_t* row, int k) {
  return row == nullptr ? uint2{} : *reinterpret_cast<const uint2*>(row + k);
}

__global__ void __launch_bounds__(kThreads)
    scores_kernel(Attention size, Pages pages, const uint16_t* q, const uint16_t* k, Scores to,
                  Fault* fault) {
  __shared__ float largest[kWarps][kRows];
  wait_for_earlier_kernels();
  const DecodeRows rows = rows_of_token(size, pages, fault);
  if (rows.sequence < 0) return;
  const int lane = static_cast<int>(threadIdx.x % 32);
  const int warp = static_cast<int>(threadIdx.x / 32);
  const int own = lane / 4;  // row, and key of eight
  const int head_dim = static_cast<int>(size.head_dim);
  const int64_t first_row = static_cast<int64_t>(blockIdx.x) * size.heads + rows.first_head;
  const KeyPlace place{pages, size.kv_heads * size.head_dim, 0, rows.sequence};
  const uint16_t* q_rows[2];
#pragma unroll
  for (int h = 0; h < 2; ++h) {
    const int row = own + h * 8;
    q_rows[h] = row < rows.rows ? q + (first_row + row) * head_dim : nullptr;
  }

  for (int64_t tile = blockIdx.z; tile * kAttentionTile < rows.keys; tile += gridDim.z) {
    const int64_t first_key = tile * kAttentionTile + warp * 16;
    const uint16_t* k_rows[2];
#pragma unroll
    for (int j = 0; j < 2; ++j) {
      const int64_t key = first_key + j * 8 + own;
      const int64_t at = key < rows.keys ? place(key, fault) : -1;
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
          to.row(first_row + row)[key] = score;
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
      to.maximum(first_row + threadIdx.x)[tile] = most;
    }
    __syncthreads();  // `largest` may be written again
  }
}

// A block's state of its rows, and what it holds of a chunk of keys.
struct ValuesShared {
  uint16_t v[2][kChunk * kColumns];  // two chunks: one at work, one on its way
  uint16_t p[kRows * kChunk];
  float alpha[kChunkTiles][kRows];
  float m[kChunkTiles + 1][kRows];  // [0]: before the chunk
  float sum[kChunkTiles][kRows];
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

__device__ void fetch_values(ValuesShared& shared, int64_t chunk, const uint16_t* v,
                             const KeyPlace& place, int64_t keys, int64_t offset, int columns,
                             Fault* fault) {
  constexpr int kPieces = kColumns / 8;
  for (int i = static_cast<int>(threadIdx.x); i < kChunk * kPieces; i += kThreads) {
    const int row = i / kPieces;
    const int piece = i % kPieces;
    const int64_t key = chunk * kChunk + row;
    const int64_t at = key < keys && piece * 8 < columns ? place(key, fault) : -1;
    copy_16(value_piece(shared.v[chunk % 2], row, piece), at < 0 ? v : v + at + offset + piece * 8,
            at < 0 ? 0 : 16);
  }
  commit_copies();
}

// P, and each tile's alpha and sum, of the chunk at `first_key`. A thread adds up the keys of one
// residue mod 8, of one tile and row; its neighbours have the other seven.
__device__ void weigh(ValuesShared& shared, const DecodeRows& rows, const Scores& from,
                      int64_t first_row, int64_t first_key) {
  const int thread = static_cast<int>(threadIdx.x);
  if (thread < rows.rows) {
    float m = shared.m[0][thread];
    const float* maxima = from.maximum(first_row + thread) + first_key / kAttentionTile;
#pragma unroll
    for (int t = 0; t < kChunkTiles; ++t) {
      const bool is_there = first_key + t * kAttentionTile < rows.keys;
      const float most = is_there ? maxima[t] : -INFINITY;
      const float next = most > m ? most : m;
      shared.alpha[t][thread] = is_there ? exp_f32(m - next) : 1.0f;
      shared.m[t + 1][thread] = m = next;
    }
  }
  __syncthreads();
  const int residue = thread % 8;
  for (int i = thread / 8; i < rows.rows * kChunkTiles; i += kThreads / 8) {
    const int row = i / kChunkTiles;
    const int tile = i % kChunkTiles;
    const float m = shared.m[tile + 1][row];
    const float* scores = from.row(first_row + row) + first_key;
    float sum = 0.0f;
#pragma unroll
    for (int j = 0; j < kAttentionTile / 8; ++j) {
      const int key = tile * kAttentionTile + j * 8 + residue;
      const bool is_there = first_key + key < rows.keys;
      const float p = is_there ? exp_f32(scores[key] - m) : 0.0f;
      if (is_there) sum = sum + p;
      weight_piece(shared.p, row, key / 8)[key % 8] = f32_to_bf16(p);
    }
    const unsigned eight = 0xffu << (thread % 32 / 8 * 8);
    for (int width = 1; width <= 4; width *= 2) {
      sum = sum + __shfl_xor_sync(eight, sum, width);
    }
    if (residue == 0) shared.sum[tile][row] = sum;
  }
  __syncthreads();
  if (thread < rows.rows) {
    float l = shared.l[thread];
    for (int t = 0; t < kChunkTiles && first_key + t * kAttentionTile < rows.keys; ++t) {
      const float product = l * shared.alpha[t][thread];
      l = product + shared.sum[t][thread];
    }
    shared.l[thread] = l;
    shared.m[0][thread] = shared.m[kChunkTiles][thread];
  }
}

// O of 8 columns, one chunk on.
__device__ void accumulate(ValuesShared& shared, int64_t chunk, int tiles, int warp, int lane,
                           float (&o)[4]) {
  uint16_t* v = shared.v[chunk % 2];
  for (int tile = 0; tile < tiles; ++tile) {
    const float upper = shared.alpha[tile][lane / 4];
    const float lower = shared.alpha[tile][lane / 4 + 8];
    o[0] = o[0] * upper;
    o[1] = o[1] * upper;
    o[2] = o[2] * lower;
    o[3] = o[3] * lower;
#pragma unroll
    for (int t = 0; t < 2; ++t) {
      const int key = tile * kAttentionTile + t * 32;
      uint32_t b[4];  // of two steps
      load_matrices_transposed(b, value_piece(v, key + lane, warp));
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        uint32_t a[4];
        load_matrices(a, weight_piece(shared.p, lane % 16, (key + half * 16) / 8 + lane / 16));
        step(o, a, b[2 * half], b[2 * half + 1]);
      }
    }
  }
}

__global__ void __launch_bounds__(kThreads)
    values_kernel(Attention size, Pages pages, const uint16_t* v, Scores from, uint16_t* out,
                  Fault* fault) {
  extern __shared__ __align__(128) char memory[];
  ValuesShared& shared = *reinterpret_cast<ValuesShared*>(memory);
  wait_for_earlier_kernels();
  const DecodeRows rows = rows_of_token(size, pages, fault);
  const int thread = static_cast<int>(threadIdx.x);
  const int lane = thread % 32;
  const int warp = thread / 32;
  const int head_dim = static_cast<int>(size.head_dim);
  const int first_column = static_cast<int>(blockIdx.z) * kColumns;
  const int columns = min(head_dim - first_column, kColumns);
  const int64_t first_row = static_cast<int64_t>(blockIdx.x) * size.heads + rows.first_head;
  const KeyPlace place{pages, size.kv_heads * size.head_dim, 0, rows.sequence};
  const int64_t offset = rows.kv_head * head_dim + first_column;
  const int64_t keys = rows.sequence < 0 ? 0 : rows.keys;
  const int64_t chunks = (keys + kChunk - 1) / kChunk;

  if (chunks > 0) fetch_values(shared, 0, v, place, keys, offset, columns, fault);
  for (int i = thread; i < kRows * kChunk; i += kThreads) shared.p[i] = 0;
  for (int i = thread; i < kChunkTiles * kRows; i += kThreads) shared.alpha[0][i] = 1.0f;
  if (thread < kRows) {
    shared.m[0][thread] = -INFINITY;
    shared.l[thread] = 0.0f;
  }
  __syncthreads();

  float o[4] = {};
  for (int64_t chunk = 0; chunk < chunks; ++chunk) {
    if (chunk + 1 < chunks) {
      fetch_values(shared, chunk + 1, v, place, keys, offset, columns, fault);
    } else {
      commit_copies();
    }
    const int64_t left = keys - chunk * kChunk;
    weigh(shared, rows, from, first_row, chunk * kChunk);
    wait_copies<1>();
    __syncthreads();
    const auto tiles = static_cast<int>((min(left, static_cast<int64_t>(kChunk)) + 63) / 64);
    accumulate(shared, chunk, tiles, warp, lane, o);
    __syncthreads();  // P and this chunk's V may be written again
  }

#pragma unroll
  for (int e = 0; e < 4; ++e) {
    const int row = lane / 4 + e / 2 * 8;
    const int column = warp * 8 + lane % 4 * 2 + e % 2;
    if (row >= rows.rows || column >= columns) continue;
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
  const int64_t scores = size.tokens * size.heads * tiles_of(pages) * (kAttentionTile + 1);
  return size.bf16 && size.tokens <= size.sequences && scores <= kMost ? scores : 0;
}

void decode_attention(const Attention& size, const Pages& pages, const void* q, const void* k,
                      const void* v, void* out, float* workspace, cudaStream_t stream) {
  constexpr int64_t kMostTiles = 64;  // blocks for one token and head; each goes on to the next
  const int64_t tiles = tiles_of(pages);
  const Scores scores{workspace, workspace + size.tokens * size.heads * tiles * kAttentionTile,
                      tiles};
  const int64_t parts = (size.heads / size.kv_heads + kRows - 1) / kRows;
  const auto grid = [&](int64_t z) {
    return dim3(static_cast<unsigned>(size.tokens), static_cast<unsigned>(size.kv_heads * parts),
                static_cast<unsigned>(z));
  };
  launch(scores_kernel, grid(std::clamp<int64_t>(tiles, 1, kMostTiles)), kThreads, 0, stream, size,
         pages, static_cast<const uint16_t*>(q), static_cast<const uint16_t*>(k), scores,
         fault_record());
  allow_shared_memory(values_kernel, sizeof(ValuesShared));
  launch(values_kernel, grid((size.head_dim + kColumns - 1) / kColumns), kThreads,
         sizeof(ValuesShared), stream, size, pages, static_cast<const uint16_t*>(v), scores,
         static_cast<uint16_t*>(out), fault_record());
}

}  // namespace samebits::cuda
