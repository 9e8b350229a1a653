// A decode step's attention with the norms and rotations before it
// (rms_norm_rope_paged_attention.h), where few sequences have one token each. A cluster of blocks
// has one key-value head of one token:
//
//   cache     keys, and columns of values, are asked for before the kernel ahead, which makes this
//             step's queries and keys, has ended
//   heads     every block norms and rotates its queries, and the head's keys of all tokens: what a
//             token of this step writes to the cache replaces what was read from there
//   scores    a block some of the keys, into the memory of all blocks
//   weights   every block all of them
//   values    a block some columns of O
//
// Where a sequence has more keys than a block has room for, a span of them after the other.

#include <algorithm>
#include <utility>

#include "harness/kernels/cuda/attention/decode.cuh"
#include "harness/kernels/cuda/rows/head_row.cuh"
#include "harness/kernels/cuda/rows/kv_slot.cuh"
#include "harness/kernels/cuda/runtime/launch.cuh"

namespace samebits::cuda {
namespace {

constexpr int kWarps = 8;
constexpr int kThreads = kWarps * 32;
constexpr int kPart = 16;          // keys whose scores a warp finds at once
constexpr int kMostTokens = 16;    // of a step
constexpr int kBytes = 136 << 10;  // of shared memory: the kernel ahead has a block there too

// Where things are in a block's shared memory, in bytes, and how many of them.
struct Places {
  int rows;      // query heads of a key-value head
  int tokens;    // of the step
  int capacity;  // keys of a span, whole tiles
  int own_keys;  // of them, whose scores a block finds
  int queries, keys, values, fresh_keys, fresh_values;
  int scores, weights, alphas, sums, maxima, before, totals;
  int key_rows, fresh, slots;
  int end;

  __host__ __device__ int tiles() const { return capacity / kAttentionTile; }
};

Places places_of(const DecodeStep& call, int cluster, int capacity) {
  const auto dim = static_cast<int>(call.size.head_dim);
  const int columns = dim / cluster;
  Places p{};
  p.rows = static_cast<int>(call.size.heads / call.size.kv_heads);
  p.tokens = static_cast<int>(call.size.tokens);
  p.capacity = capacity;
  p.own_keys = (p.capacity / kPart + cluster - 1) / cluster * kPart;
  int at = 0;
  const auto take = [&](int bytes) { return std::exchange(at, at + (bytes + 127) / 128 * 128); };
  p.queries = take(kDecodeRows * dim * 2);
  p.keys = take(p.own_keys * dim * 2);
  p.values = take(p.capacity * columns * 2);
  p.fresh_keys = take(p.tokens * dim * 2);
  p.fresh_values = take(p.tokens * columns * 2);
  p.scores = take(p.rows * p.capacity * 4);
  p.weights = take(p.rows * p.capacity * 2);
  p.alphas = take(p.rows * p.tiles() * 4);
  p.sums = take(p.rows * p.tiles() * 4);
  p.maxima = take(p.rows * p.tiles() * 4);
  p.before = take(kDecodeRows * 4);
  p.totals = take(kDecodeRows * 4);
  p.key_rows = take(p.capacity * 4);
  p.fresh = take(p.capacity);
  p.slots = take(p.tokens * 8);
  p.end = at;
  return p;
}

// With room for all keys that the page table holds, or for as many as fit.
Places places_of(const DecodeStep& call, int cluster) {
  constexpr int kSome = 16 * kAttentionTile;
  const int none = places_of(call, cluster, 0).end;
  const int some = places_of(call, cluster, kSome).end;
  const int64_t fit = int64_t{kBytes - none} * kSome / (some - none) / kAttentionTile - 1;
  const int64_t tiles = std::min(tiles_of(call.pages), std::max<int64_t>(fit, 1));
  return places_of(call, cluster, static_cast<int>(tiles) * kAttentionTile);
}

template <int kDim, int kColumns>
class Block {
 public:
  static constexpr int kCluster = kDim / kColumns;

  __device__ Block(const DecodeStep& call, const Places& places, const DecodeRows& rows,
                   char* memory, Fault* fault)
      : call_(call), places_(places), rows_(rows), memory_(memory), fault_(fault) {}

  // Goes on to the next span; false where there is none.
  __device__ bool next_span() {
    first_ += places_.capacity;
    return first_ < all_keys();
  }

  __device__ void find_key_rows() const;
  __device__ void ask_for_cache() const;
  __device__ void make_heads() const;  // waits for earlier kernels
  __device__ void replace_fresh() const;
  __device__ void find_scores() const;
  __device__ void find_maxima() const;
  __device__ void find_weights() const;
  __device__ void add_values();
  __device__ void write() const;

 private:
  using Head = HeadRow<Bf16, kDim / 32>;
  static constexpr int kPieces = kColumns / 8;  // of a key's columns, 16 bytes each

  template <typename T>
  __device__ T* at(int place) const {
    return reinterpret_cast<T*>(memory_ + place);
  }
  __device__ static int thread() { return static_cast<int>(threadIdx.x); }
  __device__ static int lane() { return thread() % 32; }
  __device__ static int warp() { return thread() / 32; }
  __device__ static int rank() { return static_cast<int>(blockIdx.x); }
  __device__ int all_keys() const { return rows_.sequence < 0 ? 0 : static_cast<int>(rows_.keys); }
  // Of the span, as are all keys and tiles below.
  __device__ int keys() const { return min(all_keys() - first_, places_.capacity); }
  __device__ int tiles() const { return (keys() + kAttentionTile - 1) / kAttentionTile; }

  // A key's elements of this head, by its row of the cache.
  __device__ int64_t place(int64_t row) const {
    return (row * call_.size.kv_heads + rows_.kv_head) * kDim;
  }
  // Neighbouring parts of 16 keys belong to neighbouring blocks.
  __device__ int key_of_own(int own) const {
    return (own / kPart * kCluster + rank()) * kPart + own % kPart;
  }
  __device__ SharedTile<kDim> own_keys() const { return {at<uint16_t>(places_.keys)}; }
  __device__ SharedTile<kDim> queries() const { return {at<uint16_t>(places_.queries)}; }
  // Pieces that one matrix load reads lie in different banks.
  __device__ uint16_t* value_piece(int key, int piece) const {
    return at<uint16_t>(places_.values) + key * kColumns +
           ((piece ^ (key * kPieces / 8 % kPieces)) * 8);
  }
  __device__ uint16_t* weight(int row, int key) const {
    return at<uint16_t>(places_.weights) + row * places_.capacity + ((key / 8 ^ row % 8) * 8) +
           key % 8;
  }
  __device__ float* score(int row, int key) const {
    return at<float>(places_.scores) + row * places_.capacity + key;
  }
  __device__ float& of_tile(int place, int row, int tile) const {
    return at<float>(place)[row * places_.tiles() + tile];
  }
  __device__ void keep_head(const Head& head, int index) const;
  struct Fragments;

  const DecodeStep& call_;
  const Places& places_;
  DecodeRows rows_;
  char* memory_;
  Fault* fault_;
  int first_ = 0;    // key of the span
  float o_[4] = {};  // a warp's eight columns
  float l_ = 0.0f;   // of a lane's row, in the last warp
};

// Which rows of the cache the keys are in, and which of them a token of this step writes: the last
// one that does.
template <int kDim, int kColumns>
__device__ void Block<kDim, kColumns>::find_key_rows() const {
  auto* const slots = at<int64_t>(places_.slots);
  for (int t = thread(); t < places_.tokens; t += kThreads) {
    slots[t] = find_slot(call_.write, t, rank() == 0 && blockIdx.y == 0, fault_);
  }
  __syncthreads();
  const Keys table{call_.pages, 0, 0, rows_.sequence};
  for (int key = thread(); key < keys(); key += kThreads) {
    const int64_t row = table.index(first_ + key, table.page(first_ + key), fault_);
    int fresh = -1;
    for (int t = 0; t < places_.tokens; ++t) {
      if (row >= 0 && slots[t] == row) fresh = t;
    }
    at<int32_t>(places_.key_rows)[key] = static_cast<int32_t>(row);
    at<int8_t>(places_.fresh)[key] = static_cast<int8_t>(fresh);
  }
  __syncthreads();
}

template <int kDim, int kColumns>
__device__ void Block<kDim, kColumns>::ask_for_cache() const {
  const auto* const rows = at<int32_t>(places_.key_rows);
  const auto copy = [&](uint16_t* to, const void* cache, int key, int column) {
    const int row = key < keys() ? rows[key] : -1;
    copy_16(to, static_cast<const uint16_t*>(cache) + (row < 0 ? 0 : place(row) + column),
            row < 0 ? 0 : 16);
  };
  constexpr int kChunks = kDim / 8;  // of a key
  for (int i = thread(); i < places_.own_keys * kChunks; i += kThreads) {
    const int key = key_of_own(i / kChunks);
    if (key / kPart * kPart >= keys()) break;
    copy(own_keys().chunk(i / kChunks, i % kChunks * 8), call_.write.k_cache, key, i % kChunks * 8);
  }
  for (int i = thread(); i < tiles() * kAttentionTile * kPieces; i += kThreads) {
    const int piece = i % kPieces;
    copy(value_piece(i / kPieces, piece), call_.write.v_cache, i / kPieces,
         rank() * kColumns + piece * 8);
  }
  commit_copies();
}

// Queries come first, then the keys of all tokens.
template <int kDim, int kColumns>
__device__ void Block<kDim, kColumns>::make_heads() const {
  const int all = rows_.rows + places_.tokens;
  const int lane16 = lane() % 16;
  Head head;
  const auto token_of = [&](int index) {
    return index < rows_.rows ? rows_.token : static_cast<int64_t>(index - rows_.rows);
  };
  const auto load_tables = [&](int index) {
    head.load_tables(call_.rotation, index < rows_.rows ? call_.queries.weight : call_.keys.weight,
                     token_of(index), lane16);
  };
  const auto index_at = [&](int first) { return min(first + lane() / 16, all - 1); };
  load_tables(index_at(warp() * 2));
  wait_for_earlier_kernels();
  for (int first = warp() * 2; first < all; first += kWarps * 2) {
    const int index = index_at(first);
    if (first != warp() * 2) load_tables(index);
    const bool is_query = index < rows_.rows;
    const auto* const x = static_cast<const Bf16*>(is_query ? call_.queries.x : call_.keys.x);
    head.load_values(
        x + (is_query ? (rows_.first_row(call_.size) + index) * kDim : place(token_of(index))),
        lane16);
    head.norm_and_rotate(call_.eps);
    if (first + lane() / 16 < all) keep_head(head, index);
  }
  const auto* const v = static_cast<const uint16_t*>(call_.write.v);
  for (int i = thread(); i < places_.tokens * kColumns; i += kThreads) {
    at<uint16_t>(places_.fresh_values)[i] =
        __ldcg(v + place(i / kColumns) + rank() * kColumns + i % kColumns);
  }
}

// In shared memory, and by one block of the cluster where others find it.
template <int kDim, int kColumns>
__device__ void Block<kDim, kColumns>::keep_head(const Head& head, int index) const {
  const int lane16 = lane() % 16;
  const auto part = [&](void* of_all, int64_t first) { return static_cast<Bf16*>(of_all) + first; };
  if (index < rows_.rows) {
#pragma unroll
    for (int j = 0; j < Head::kOwn; ++j) {
      queries().at(index, j * 16 + lane16) = head.rotated[j].bits;
    }
    if (rank() != 0) return;
    const int64_t first = (rows_.first_row(call_.size) + index) * kDim;
    Head::write(head.normed, part(call_.queries.normed, first), lane16);
    if (!head.is_there && index == 0 && lane16 == 0) {
      raise(fault_, FaultKind::kRopePosition, rows_.token, head.position, call_.rotation.table);
    }
    if (head.is_there) Head::write(head.rotated, part(call_.queries.rotated, first), lane16);
    return;
  }
  const int token = index - rows_.rows;
  Head::write(head.rotated, at<Bf16>(places_.fresh_keys) + token * kDim, lane16);
  if (rank() != 0 || token != rows_.token) return;
  Head::write(head.normed, part(call_.keys.normed, place(token)), lane16);
  if (!head.is_there) return;
  Head::write(head.rotated, part(call_.keys.rotated, place(token)), lane16);
  const int64_t slot = at<int64_t>(places_.slots)[token];
  if (slot < 0) return;
  Head::write(head.rotated, part(call_.write.k_cache, place(slot)), lane16);
  Head value;
  const auto* const v = static_cast<const Bf16*>(call_.write.v) + place(token);
#pragma unroll
  for (int j = 0; j < Head::kOwn; ++j) value.normed[j] = load_past_cache(v + j * 16 + lane16);
  Head::write(value.normed, part(call_.write.v_cache, place(slot)), lane16);
}

template <int kDim, int kColumns>
__device__ void Block<kDim, kColumns>::replace_fresh() const {
  for (int key = thread(); key < keys(); key += kThreads) {
    const int token = at<int8_t>(places_.fresh)[key];
    if (token < 0) continue;
    const auto* const value = at<uint4>(places_.fresh_values) + token * kPieces;
#pragma unroll
    for (int i = 0; i < kPieces; ++i) *reinterpret_cast<uint4*>(value_piece(key, i)) = value[i];
    const int part = key / kPart;
    if (part % kCluster != rank()) continue;
    const auto* const from = at<uint4>(places_.fresh_keys) + token * (kDim / 8);
    const int own = part / kCluster * kPart + key % kPart;
#pragma unroll
    for (int i = 0; i < kDim / 8; ++i) {
      *reinterpret_cast<uint4*>(own_keys().chunk(own, i * 8)) = from[i];
    }
  }
}

template <int kDim, int kColumns>
__device__ void Block<kDim, kColumns>::find_scores() const {
  for (int own = warp() * kPart; own < places_.own_keys; own += kWarps * kPart) {
    const int first_key = key_of_own(own);
    if (first_key >= keys()) break;
    float s[2][4] = {};
#pragma unroll
    for (int d = 0; d < kDim; d += 16) {
      uint32_t a[4];
      uint32_t b[4];
      queries().a_fragment(a, 0, d, lane());
      own_keys().b_fragments(b, own, d, lane());
      step(s[0], a, b[0], b[1]);
      step(s[1], a, b[2], b[3]);
    }
#pragma unroll
    for (int j = 0; j < 2; ++j) {
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        const int row = lane() / 4 + e / 2 * 8;
        const int key = first_key + j * 8 + lane() % 4 * 2 + e % 2;
        if (row >= rows_.rows || key >= keys()) continue;
        const float found = s[j][e] * call_.size.scale;
#pragma unroll
        for (int block = 0; block < kCluster; ++block) {
          store_in_block(block, score(row, key), found);
        }
      }
    }
  }
}

// Of each tile's scores, a warp a tile of a row.
template <int kDim, int kColumns>
__device__ void Block<kDim, kColumns>::find_maxima() const {
  for (int i = warp(); i < rows_.rows * tiles(); i += kWarps) {
    const int row = i % rows_.rows;
    const int tile = i / rows_.rows;
    float most = -INFINITY;
#pragma unroll
    for (int j = 0; j < 2; ++j) {
      const int key = tile * kAttentionTile + j * 32 + lane();
      if (key < keys()) most = larger(most, *score(row, key));
    }
    for (int width = 16; width > 0; width /= 2) {
      most = larger(most, __shfl_xor_sync(0xffffffffu, most, width));
    }
    if (lane() == 0) of_tile(places_.maxima, row, tile) = most;
  }
}

template <int kDim, int kColumns>
__device__ void Block<kDim, kColumns>::find_weights() const {
  const int chunks = (tiles() + kChunkTiles - 1) / kChunkTiles;
  for (int i = warp(); i < rows_.rows * chunks; i += kWarps) {
    const int row = i % rows_.rows;
    const int first_tile = i / rows_.rows * kChunkTiles;
    const ChunkWeights found = weights_of_chunk(
        keys(), tiles(), first_tile, lane(),
        [&](int64_t key) { return *score(row, static_cast<int>(key)); },
        [&](int tile) { return of_tile(places_.maxima, row, tile); },
        first_ == 0 ? -INFINITY : at<float>(places_.before)[row]);
    const int tile = first_tile + lane() / 8;
    if (tile >= tiles()) continue;
#pragma unroll
    for (int j = 0; j < kAttentionTile / 8; ++j) {
      *weight(row, tile * kAttentionTile + j * 8 + lane() % 8) = found.p[j];
    }
    if (lane() % 8 != 0) continue;
    of_tile(places_.alphas, row, tile) = found.alpha;
    of_tile(places_.sums, row, tile) = found.sum;
  }
}

// What a warp reads of a tile: P of all rows, and eight columns of V.
template <int kDim, int kColumns>
struct Block<kDim, kColumns>::Fragments {
  uint32_t p[4][4];
  uint32_t v[2][4];
  float alphas[2];

  // Rows that are not there are the last one's again: nobody reads what comes of them.
  __device__ void read(const Block& block, int tile) {
    const int last = block.rows_.rows - 1;
    const int first_key = tile * kAttentionTile;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      load_matrices(p[i],
                    block.weight(min(lane() % 16, last), first_key + i * 16 + lane() / 16 * 8));
    }
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      load_matrices_transposed(v[i], block.value_piece(first_key + i * 32 + lane(), warp()));
      alphas[i] = block.of_tile(block.places_.alphas, min(lane() / 4 + i * 8, last), tile);
    }
  }
};

template <int kDim, int kColumns>
__device__ void Block<kDim, kColumns>::add_values() {
  if (warp() == kWarps - 1 && lane() < rows_.rows) {
    float& before = at<float>(places_.before)[lane()];
    if (first_ == 0) before = -INFINITY;
    for (int tile = 0; tile < tiles(); ++tile) {
      const float product = l_ * of_tile(places_.alphas, lane(), tile);
      l_ = product + of_tile(places_.sums, lane(), tile);
      before = larger(before, of_tile(places_.maxima, lane(), tile));
    }
  }
  if (warp() >= kPieces || tiles() == 0) return;
  Fragments now;
  now.read(*this, 0);
#pragma unroll 2
  for (int tile = 0; tile < tiles(); ++tile) {
    Fragments next;
    if (tile + 1 < tiles()) next.read(*this, tile + 1);
#pragma unroll
    for (int e = 0; e < 4; ++e) o_[e] = o_[e] * now.alphas[e / 2];
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      step(o_, now.p[i], now.v[i / 2][i % 2 * 2], now.v[i / 2][i % 2 * 2 + 1]);
    }
    now = next;
  }
}

template <int kDim, int kColumns>
__device__ void Block<kDim, kColumns>::write() const {
  auto* const totals = at<float>(places_.totals);
  if (warp() == kWarps - 1 && lane() < rows_.rows) totals[lane()] = l_;
  __syncthreads();
  if (warp() >= kPieces) return;
#pragma unroll
  for (int e = 0; e < 4; ++e) {
    const int row = lane() / 4 + e / 2 * 8;
    if (row >= rows_.rows) continue;
    const int column = rank() * kColumns + warp() * 8 + lane() % 4 * 2 + e % 2;
    static_cast<uint16_t*>(call_.out)[(rows_.first_row(call_.size) + row) * kDim + column] =
        all_keys() == 0 ? uint16_t{0} : f32_to_bf16(o_[e] / totals[row]);
  }
}

template <int kDim, int kColumns>
__global__ void __launch_bounds__(kThreads)
    decode_step_kernel(const __grid_constant__ DecodeStep call,
                       const __grid_constant__ Places places, Fault* fault) {
  extern __shared__ __align__(128) char memory[];
  arrive_at_cluster();
  const bool is_settled = call.pages.tables_are_settled && call.cache_is_settled;
  if (!is_settled) wait_for_earlier_kernels();
  Block<kDim, kColumns> block(call, places,
                              rows_of_token(call.size, call.pages, blockIdx.z, blockIdx.y, fault),
                              memory, fault);
  block.find_key_rows();
  block.ask_for_cache();
  block.make_heads();
  wait_copies<0>();
  __syncthreads();
  block.replace_fresh();
  wait_for_cluster();  // the others have begun, so their memory is there
  __syncthreads();
  while (true) {
    block.find_scores();
    sync_cluster();
    block.find_maxima();
    __syncthreads();
    block.find_weights();
    __syncthreads();
    block.add_values();
    if (!block.next_span()) break;
    sync_cluster();  // all have done with the scores
    block.find_key_rows();
    block.ask_for_cache();
    wait_copies<0>();
    __syncthreads();
    block.replace_fresh();
    __syncthreads();
  }
  block.write();
}

// Blocks of a cluster: as many as the card has room for; 1: there are too many clusters.
int cluster_of(const DecodeStep& call) {
  const int64_t clusters = call.size.tokens * call.size.kv_heads;
  return clusters <= 16 ? 8 : clusters <= 32 ? 4 : clusters <= 64 ? 2 : 1;
}

template <int kDim, int kColumns>
void run(const DecodeStep& call, cudaStream_t stream) {
  const auto kernel = decode_step_kernel<kDim, kColumns>;
  const Places places = places_of(call, kDim / kColumns);
  allow_shared_memory(kernel, static_cast<size_t>(places.end));
  launch_clusters(kernel, kDim / kColumns,
                  dim3(kDim / kColumns, static_cast<unsigned>(call.size.kv_heads),
                       static_cast<unsigned>(call.size.tokens)),
                  kThreads, static_cast<size_t>(places.end), stream, call, places, fault_record());
}

template <int kDim>
void run_for(const DecodeStep& call, cudaStream_t stream) {
  switch (cluster_of(call)) {
    case 8:
      return run<kDim, kDim / 8>(call, stream);
    case 4:
      return run<kDim, kDim / 4>(call, stream);
    default:
      return run<kDim, kDim / 2>(call, stream);
  }
}

}  // namespace

bool takes_decode_step(const DecodeStep& call) {
  const Attention& size = call.size;
  const bool is_shape =
      size.bf16 && (size.head_dim == 64 || size.head_dim == 128) && size.tokens > 0 &&
      size.tokens <= std::min<int64_t>(size.sequences, kMostTokens) && size.kv_heads > 0 &&
      size.heads / size.kv_heads <= kDecodeRows && tiles_of(call.pages) > 0;
  return is_shape && size.heads > 0 && cluster_of(call) > 1 &&
         rows_are_aligned(call.write.k_cache, size.head_dim) &&
         rows_are_aligned(call.write.v_cache, size.head_dim) &&
         places_of(call, cluster_of(call)).end <= kBytes;
}

void decode_step(const DecodeStep& call, cudaStream_t stream) {
  call.size.head_dim == 64 ? run_for<64>(call, stream) : run_for<128>(call, stream);
}

}  // namespace samebits::cuda
