#pragma once

// What attention's kernels share: which rows a block has, and its tiles of keys. NOTE [The
// arithmetic of attention] is in flash_attention.h.

#include <type_traits>

#include "harness/kernels/cpu/sm90_step.h"
#include "harness/kernels/cuda/attention/launchers.h"
#include "harness/kernels/cuda/runtime/device.cuh"
#include "harness/kernels/cuda/runtime/mma.cuh"

namespace samebits::cuda {

constexpr int kAttentionTile = 64;  // keys of a tile; rows of a block, too

// Some units of one sequence: the block's place among those of all sequences, which are found on
// the card because only the card knows where sequences begin.
struct SequencePart {
  int64_t sequence;  // -1: there are no more
  int64_t start;     // its first token
  int64_t length;    // its tokens
  int part;          // the block's index within the sequence
};

// Sequences of n tokens have ceil(n * scale / rows) parts each.
__device__ inline SequencePart find_part(const Attention& size, int scale, int rows, int64_t index,
                                         Fault* fault) {
  for (int64_t s = 0; s < size.sequences; ++s) {
    const int64_t start = size.cu_seqlens[s];
    const int64_t end = size.cu_seqlens[s + 1];
    if (start < 0 || end < start || end > size.tokens) {
      raise(fault, FaultKind::kSequences, s, end, size.tokens);
      break;
    }
    const int64_t parts =
        static_cast<uint32_t>((end - start) * scale + rows - 1) / static_cast<uint32_t>(rows);
    if (index < parts) return {s, start, end - start, static_cast<int>(index)};
    index -= parts;
  }
  return {-1, 0, 0, 0};
}

// The sequence of one token; `part` is the token's place in it. Reads past the processor's own
// cache (launch.cuh), as page() below does.
__device__ inline SequencePart find_token(const Attention& size, int64_t token, Fault* fault) {
  // Where each sequence has one token there is nothing to look for.
  const bool is_own = token < size.sequences && __ldcg(size.cu_seqlens + token) == token &&
                      __ldcg(size.cu_seqlens + token + 1) == token + 1;
  if (is_own) return {token, token, 1, 0};
  // Boundaries of several are read at once: one after the other, each would wait for memory.
  constexpr int kAtOnce = 8;
  for (int64_t first = 0; first < size.sequences; first += kAtOnce) {
    int32_t bounds[kAtOnce + 1];
#pragma unroll
    for (int i = 0; i <= kAtOnce; ++i) {
      bounds[i] = __ldcg(size.cu_seqlens + min(first + i, size.sequences));
    }
    int at = kAtOnce;  // of these: the token's, or one that is faulty before it
    int32_t start = 0;
    int32_t end = 0;
#pragma unroll
    for (int i = kAtOnce - 1; i >= 0; --i) {
      const bool is_faulty =
          bounds[i] < 0 || bounds[i + 1] < bounds[i] || bounds[i + 1] > size.tokens;
      const bool is_its = token >= bounds[i] && token < bounds[i + 1];
      if (first + i >= size.sequences || (!is_faulty && !is_its)) continue;
      at = i;
      start = bounds[i];
      end = bounds[i + 1];
    }
    if (at == kAtOnce) continue;
    if (start >= 0 && end >= start && end <= size.tokens) {
      return {first + at, start, end - start, static_cast<int>(token - start)};
    }
    raise(fault, FaultKind::kSequences, first + at, end, size.tokens);
    break;
  }
  return {-1, 0, 0, 0};
}

// An upper bound of the parts of all sequences, for the grid.
inline int64_t most_parts(const Attention& size, int64_t scale, int64_t rows) {
  return (size.tokens * scale + rows - 1) / rows + size.sequences;
}

// Where the keys of a sequence are, in two steps, so that the page table is read for many keys
// before the first entry is used.
struct Keys {
  static constexpr int32_t kBeyond = INT32_MIN;  // the page table has no entry for the key

  Pages pages;
  int64_t row;       // elements of a token's keys, all heads
  int64_t start;     // of the sequence, where keys are contiguous
  int64_t sequence;  // where they are in pages

  // Of the sequence's. A division takes as long as ten steps, and most pages are a power of two.
  __device__ uint32_t page_index(int64_t key) const {
    const auto rows = static_cast<uint32_t>(pages.page_rows);
    const auto k = static_cast<uint32_t>(key);
    return __popc(rows) == 1 ? k >> (31 - __clz(static_cast<int>(rows))) : k / rows;
  }
  __device__ int64_t entry(int64_t key) const {
    return sequence * pages.table_width + page_index(key);
  }

  __device__ int32_t page(int64_t key) const {
    if (pages.block_table == nullptr) return 0;
    return page_index(key) < pages.table_width ? __ldcg(pages.block_table + entry(key)) : kBeyond;
  }

  // Which row of all keys, or -1.
  __device__ int64_t index(int64_t key, int32_t page, Fault* fault) const {
    if (pages.block_table == nullptr) return start + key;
    if (page == kBeyond) {
      raise(fault, FaultKind::kPages, sequence, key + 1, pages.table_width * pages.page_rows);
      return -1;
    }
    if (page < 0 || page >= pages.pages) {
      raise(fault, FaultKind::kPage, entry(key), page, pages.pages);
      return -1;
    }
    const auto rows = static_cast<uint32_t>(pages.page_rows);
    return page * pages.page_rows + static_cast<uint32_t>(key) - page_index(key) * rows;
  }
  // An element's index, of the first head, or negative.
  __device__ int64_t place(int64_t key, int32_t page, Fault* fault) const {
    return index(key, page, fault) * row;
  }
  __device__ int64_t operator()(int64_t key, Fault* fault) const {
    return place(key, page(key), fault);
  }
};

// The rows of one key-value head of a sequence are its queries times the heads of the group: row r
// is query r / group, head r % group. A block has some of them.
struct RowsOfBlock {
  SequencePart part;
  int group;
  int kv_head;
  int first;  // row
  int rows;
  int before;  // keys before the sequence's first query
  Keys keys;

  // 64 bits divide slowly.
  __device__ int query(int row) const {
    return static_cast<int>(static_cast<uint32_t>(first + row) / static_cast<uint32_t>(group));
  }
  __device__ int position(int row) const { return before + query(row); }
  __device__ int keys_seen() const { return rows == 0 ? 0 : position(rows - 1) + 1; }
  // Of [tokens, H] rows.
  __device__ int64_t place(int row, int64_t heads) const {
    const int at = query(row);
    return (part.start + at) * heads + kv_head * group + (first + row - at * group);
  }
};

// At most `most` rows; the grid is (most_parts(), kv_heads).
__device__ inline RowsOfBlock rows_of_block(const Attention& size, const Pages& pages, int most,
                                            Fault* fault) {
  RowsOfBlock block{};
  block.group =
      static_cast<int>(static_cast<uint32_t>(size.heads) / static_cast<uint32_t>(size.kv_heads));
  block.kv_head = static_cast<int>(blockIdx.y);
  // The last part of a sequence sees most keys, so it starts first.
  block.part = find_part(size, block.group, most, gridDim.x - 1 - blockIdx.x, fault);
  if (block.part.sequence < 0) return block;
  block.first = static_cast<int>(block.part.part) * most;
  const int left = static_cast<int>(block.part.length) * block.group - block.first;
  block.rows = left < most ? left : most;
  block.keys = {pages, size.kv_heads * size.head_dim, block.part.start, block.part.sequence};
  if (pages.seq_lens == nullptr) return block;
  const int length = pages.seq_lens[block.part.sequence];
  block.before = length - static_cast<int>(block.part.length);
  if (block.before < 0) {
    raise(fault, FaultKind::kKeys, block.part.sequence, length, block.part.length);
    block.rows = 0;
  }
  return block;
}

// Rows of bf16 into a tile [kAttentionTile][kDim]: row i < rows from `source(i)`, which gives the
// address of head_dim elements or null; everything else is zero.
template <int kDim, int kThreads, typename Source>
__device__ void fill_rows(const SharedTile<kDim>& tile, int rows, int head_dim, bool is_aligned,
                          Source source) {
  for (int i = static_cast<int>(threadIdx.x); i < kAttentionTile * (kDim / 8); i += kThreads) {
    const int row = i / (kDim / 8);
    const int column = i % (kDim / 8) * 8;
    const uint16_t* from = row < rows ? source(row) : nullptr;
    const int left = head_dim - column;
    const int count = from != nullptr && left > 0 ? (left < 8 ? left : 8) : 0;
    uint16_t* chunk = tile.chunk(row, column);
    if (is_aligned && count == 8) {
      *reinterpret_cast<uint4*>(chunk) = *reinterpret_cast<const uint4*>(from + column);
    } else {
      for (int j = 0; j < 8; ++j) chunk[j] = j < count ? from[column + j] : uint16_t{0};
    }
  }
}

// The same of keys or values first .. first + rows - 1, on its way (commit_copies, wait_copies).
template <int kDim, int kThreads>
__device__ void fetch_keys(const SharedTile<kDim>& tile, const uint16_t* from, const Keys& keys,
                           int64_t first, int rows, int head_dim, bool is_aligned, Fault* fault) {
  constexpr int kChunks = kDim / 8;  // of a row
  constexpr int kEach = kAttentionTile * kChunks / kThreads;
  static_assert(kThreads % kChunks == 0);
  const int column = static_cast<int>(threadIdx.x) % kChunks * 8;
  const int left = head_dim - column;
  const int count = left < 0 ? 0 : left < 8 ? left : 8;
  const auto row_of = [](int i) {
    return static_cast<int>(threadIdx.x) / kChunks + i * (kThreads / kChunks);
  };
  int32_t pages[kEach];
#pragma unroll
  for (int i = 0; i < kEach; ++i) pages[i] = row_of(i) < rows ? keys.page(first + row_of(i)) : 0;
#pragma unroll
  for (int i = 0; i < kEach; ++i) {
    const int row = row_of(i);
    const int64_t at = row < rows ? keys.place(first + row, pages[i], fault) : -1;
    const int there = at < 0 ? 0 : count;
    const uint16_t* source = there > 0 ? from + at + column : from;
    uint16_t* chunk = tile.chunk(row, column);
    if (is_aligned) {
      copy_16(chunk, source, there * 2);
    } else {
      for (int j = 0; j < 8; ++j) chunk[j] = j < there ? source[j] : uint16_t{0};
    }
  }
}

// Whether eight bf16 are finite.
__device__ inline bool is_finite(uint4 eight) {
  bool finite = true;
  for (const uint32_t two : {eight.x, eight.y, eight.z, eight.w}) {
    finite = finite && (two & 0x7f80u) != 0x7f80u && (two & 0x7f800000u) != 0x7f800000u;
  }
  return finite;
}

// Whether a tile, or this thread's share of it, is finite.
template <int kDim, int kThreads>
__device__ bool is_finite(const SharedTile<kDim>& tile) {
  const auto* chunks = reinterpret_cast<const uint4*>(tile.data);
  bool finite = true;
#pragma unroll
  for (int i = 0; i < kAttentionTile * kDim / 8 / kThreads; ++i) {
    finite = finite && is_finite(chunks[static_cast<int>(threadIdx.x) + i * kThreads]);
  }
  return finite;
}

// An element of O + P V where a value is infinite or NaN: a row must not meet values that it does
// not see, not even with a zero, so the chain is over the `seen` keys alone. `p`: the row's
// weights; value(key): V's element.
template <typename Value>
__device__ float chain_over_seen(float o, const uint16_t* p, int seen, const Value& value) {
  for (int k = 0; k < seen; k += kSm90StepK) {
    uint16_t a[kSm90StepK];
    uint16_t b[kSm90StepK];
    for (int i = 0; i < kSm90StepK; ++i) {
      const bool is_seen = k + i < seen;
      a[i] = is_seen ? p[k + i] : uint16_t{0};
      b[i] = is_seen ? value(k + i) : uint16_t{0};
    }
    o = sm90_step(o, a, b);
  }
  return o;
}

// c += rows of `a` (row .. + 15) times rows of `b` (all 64), over kDim: the chain over head_dim.
template <int kDim>
__device__ void multiply_rows(float (&c)[8][4], const SharedTile<kDim>& a, int row,
                              const SharedTile<kDim>& b, int lane) {
#pragma unroll
  for (int k = 0; k < kDim; k += 16) {
    uint32_t fa[4];
    a.a_fragment(fa, row, k, lane);
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      uint32_t fb[4];
      b.b_fragments(fb, j * 16, k, lane);
      step(c[2 * j], fa, fb[0], fb[1]);
      step(c[2 * j + 1], fa, fb[2], fb[3]);
    }
  }
}

// The A fragment, rounded, of columns 16 t .. + 15 of a 16 x 64 tile of results.
__device__ inline void fragment_of_results(uint32_t (&a)[4], const float (&c)[8][4], int t) {
  a[0] = pack_bf16(c[2 * t][0], c[2 * t][1]);
  a[1] = pack_bf16(c[2 * t][2], c[2 * t][3]);
  a[2] = pack_bf16(c[2 * t + 1][0], c[2 * t + 1][1]);
  a[3] = pack_bf16(c[2 * t + 1][2], c[2 * t + 1][3]);
}

// o += p (16 x 64, rounded) times the 64 rows of `v`: the chain over rows, 16 at a time.
template <int kDim>
__device__ void accumulate_rows(float (&o)[kDim / 8][4], const float (&p)[8][4],
                                const SharedTile<kDim>& v, int lane) {
#pragma unroll
  for (int t = 0; t < 4; ++t) {
    uint32_t a[4];
    fragment_of_results(a, p, t);
#pragma unroll
    for (int j = 0; j < kDim / 16; ++j) {
      uint32_t b[4];
      v.b_fragments_of_transposed(b, j * 16, t * 16, lane);
      step(o[2 * j], a, b[0], b[1]);
      step(o[2 * j + 1], a, b[2], b[3]);
    }
  }
}

// The eight partial sums, by index mod 8, of one row of a 16 x 64 tile, joined by the tree of
// flash_attention.h. `half`: 0 for the fragment's upper row, 2 for the lower one. To every thread
// of the row.
__device__ inline float sum_of_row(const float (&p)[8][4], int half) {
  float even = 0.0f;
  float odd = 0.0f;
#pragma unroll
  for (int j = 0; j < 8; ++j) {
    even = even + p[j][half];
    odd = odd + p[j][half + 1];
  }
  float sum = even + odd;
  sum = sum + __shfl_xor_sync(0xffffffffu, sum, 1);
  return sum + __shfl_xor_sync(0xffffffffu, sum, 2);
}

__device__ inline float chain_f32(const float* a, const float* b, int64_t n) {
  float sum = 0.0f;
  for (int64_t i = 0; i < n; ++i) sum = fmaf(a[i], b[i], sum);
  return sum;
}

inline bool rows_are_aligned(const void* data, int64_t head_dim) {
  return reinterpret_cast<uintptr_t>(data) % 16 == 0 && head_dim % 8 == 0;
}

// ---- prefill.cu: many queries of each sequence ----------------------------------------
// Whether prefill_attention takes the call.
bool is_prefill(const Attention& size, const Pages& pages, const void* q, const void* k,
                const void* v, const void* out);
void prefill_attention(const Attention& size, const Pages& pages, const void* q, const void* k,
                       const void* v, void* out, float* lse, cudaStream_t stream);

// ---- decode.cu: a query or few of each sequence, over pages --------------------------
// Whether decode_attention takes the call.
bool is_decode(const Attention& size, const Pages& pages, const void* q, const void* k,
               const void* v);
void decode_attention(const Attention& size, const Pages& pages, const void* q, const void* k,
                      const void* v, void* out, float* workspace, cudaStream_t stream);

// Calls f with the least supported head size, as a constant, that holds head_dim.
template <typename F>
void with_head_dim(int64_t head_dim, F f) {
  if (head_dim <= 64) {
    f(std::integral_constant<int, 64>{});
  } else if (head_dim <= 128) {
    f(std::integral_constant<int, 128>{});
  } else {
    f(std::integral_constant<int, 256>{});
  }
}

}  // namespace samebits::cuda
