#pragma once

// Attention of a persistent decode step (flash_attention.h): a processor holds the keys and values
// of some units, a token's key-value head each. Keys are the 16 rows of the matrix step for scores,
// columns of V for values; the query heads that share them are its 8 columns.

#include "harness/kernels/cuda/attention/decode.cuh"
#include "harness/kernels/cuda/persistent/words.cuh"

namespace samebits::cuda {

constexpr int kMaxUnits = 8;  // of a processor
constexpr int kMaxGroup = 8;  // query heads that share a key-value head

// Where attention's data is, over the ring and what follows it: bytes from the beginning of the
// block's memory. A segment is what is held of a sequence at once: tiles of keys.
struct AttentionMemory {
  int line;     // bytes of a key
  int p_line;   // bytes of a row of weights
  int segment;  // keys
  int k, v;
  int p;       // [group, p_line]
  int scores;  // floats [group, segment]
  int alphas;  // floats [group, tiles]
  int sums;    // floats [group, tiles]
  int maxima;  // floats [2][group], by the segment's parity: before it
  int q;       // [group, line]: rotated
  int end;

  AttentionMemory(const PersistentStep& step, int begin, int tiles) {
    const int group = step.heads / step.kv_heads;
    int at = begin;
    const auto take = [&at](int bytes) {
      const int here = at;
      at = (at + bytes + 15) / 16 * 16;
      return here;
    };
    line = step.head_dim * 2 + 16;
    segment = tiles * kAttentionTile;
    p_line = segment * 2 + 16;
    k = take(segment * line);
    v = take(segment * line);
    p = take(group * p_line);
    scores = take(group * segment * 4);
    alphas = take(group * tiles * 4);
    sums = take(group * tiles * 4);
    maxima = take(2 * group * 4);
    q = take(group * line);
    end = at;
  }
  // As many tiles as there is room for.
  static AttentionMemory that_fits(const PersistentStep& step, int begin, int end) {
    constexpr int kMostTiles = 16;
    int tiles = kMostTiles;
    while (tiles > 1 && AttentionMemory(step, begin, tiles).end > end) --tiles;
    return {step, begin, tiles};
  }
};

// What a launch is told: the step, and what follows from its sizes.
struct DecodePlan {
  PersistentStep step;
  DecodeMemory memory;
  AttentionMemory attention;
  Exchanges exchanges;

  // `most`: tokens that the kernel is built for.
  DecodePlan(const PersistentStep& step, int most)
      : step(step),
        memory(DecodeMemory::of(step, most)),
        attention(AttentionMemory::that_fits(step, memory.ring, memory.bytes)),
        exchanges(step) {}
};

// A processor's unit, found once a step.
struct AttentionUnit {
  DecodeRows rows;
  int64_t own;  // the row of the cache that the step writes, -1: none
};

// The largest of a warp's values, NaN passed over: -inf where there is none.
__device__ inline float max_of_warp(float x) {
  const uint32_t bits = __float_as_uint(x);
  const uint32_t flipped = static_cast<uint32_t>(static_cast<int32_t>(bits) >> 31) | 0x80000000u;
  constexpr uint32_t kLeast = 0x007fffffu;  // what -inf becomes
  const uint32_t most = __reduce_max_sync(0xffffffffu, x != x ? kLeast : bits ^ flipped);
  const uint32_t back = static_cast<uint32_t>(~static_cast<int32_t>(most) >> 31) | 0x80000000u;
  return __uint_as_float(most ^ back);
}

template <int kMost, bool kObserved, typename Shape>
struct AttentionStep : DecodeSizes<kMost, Shape> {
  using Sizes = DecodeSizes<kMost, Shape>;
  using Sizes::group, Sizes::head_dim, Sizes::heads, Sizes::kv_heads, Sizes::p, Sizes::tokens;
  const AttentionMemory& at;
  const Exchanges& exchanges;
  char* memory;
  const float* rope;  // the tokens' cosines and sines
  Fault* fault;
  uint32_t first_turn;
  int tid, lane, warp;

  __device__ float* floats(int offset) const { return reinterpret_cast<float*>(memory + offset); }
  __device__ uint16_t* bf16s(int offset) const {
    return reinterpret_cast<uint16_t*>(memory + offset);
  }

  __device__ static void sync() { sync_named(1, kDecodeComputing); }
  __device__ int64_t row_elements() const { return int64_t{kv_heads()} * head_dim(); }

  // The segment of a unit that begins with key `first`, on its way from the cache. What the step
  // itself brings is not there yet: take_rows() puts it in its place, but for a sequence of several
  // segments, where it is read from the cache. Rows up to the end of a step are zero. unit_of() has
  // checked the pages.
  __device__ void fetch(const DecodeLayer& layer, const AttentionUnit& unit, int first) const {
    constexpr int kAhead = 4;           // entries of the page table that are on their way at once
    const int pieces = head_dim() / 8;  // of a row, a power of two
    const int stride = kDecodeComputing / pieces;
    const int piece = tid % pieces;
    const auto all = static_cast<int>(unit.rows.keys);
    const int count = min(all - first, at.segment);
    const int rows = (count + 15) / 16 * 16;
    const int own = first == 0 ? all - 1 : -1;
    const float of_page = 1.0f / static_cast<float>(static_cast<int>(p.page_rows));
    const int32_t* table = p.block_table + unit.rows.sequence * p.table_width;
#pragma unroll 1
    for (int row = tid / pieces; row < rows; row += kAhead * stride) {
      int pages[kAhead];
      int within[kAhead];
#pragma unroll
      for (int a = 0; a < kAhead; ++a) {
        const int key = first + row + a * stride;
        const auto page = static_cast<int>((static_cast<float>(key) + 0.5f) * of_page);
        within[a] = key - page * static_cast<int>(p.page_rows);
        pages[a] = row + a * stride < count ? __ldcg(table + page) : -1;
      }
#pragma unroll
      for (int a = 0; a < kAhead; ++a) {
        const int here = row + a * stride;
        if (here >= rows || first + here == own) continue;
        const int bytes = pages[a] >= 0 && pages[a] < p.pages ? 16 : 0;
        const int64_t place = bytes == 0 ? 0 : pages[a] * p.page_rows + within[a];
        const int64_t from = place * row_elements() + unit.rows.kv_head * head_dim() + piece * 8;
        const int to = here * at.line + piece * 16;
        copy_16(memory + at.k + to, layer.k_cache + from, bytes);
        copy_16(memory + at.v + to, layer.v_cache + from, bytes);
      }
    }
    commit_copies();
  }

  // Queries, then the key, then the value of a unit, a warp each, two halves of which do the same:
  // lane l has elements l, l + 16, ...
  __device__ void take_rows(int layer, const DecodeLayer& weights, const AttentionUnit& unit,
                            uint32_t tag, const Patience& patience) const {
    if (warp >= group() + 2) return;
    const bool is_key = warp == group();
    const bool is_value = warp == group() + 1;
    const auto token = static_cast<int>(unit.rows.token);
    const auto kv_head = static_cast<int>(unit.rows.kv_head);
    const int head = is_key     ? heads() + kv_head
                     : is_value ? heads() + kv_heads() + kv_head
                                : kv_head * group() + warp;
    const int own = lane % 16;
    const int elements = head_dim() / 16;
    const uint64_t* from =
        exchanges.of_qkv(layer) + token * exchanges.qkv + head * (head_dim() / 2) + own / 2;
    const Constants constants = constants_of(weights, unit, elements, own, is_key);
    uint64_t words[8];
    wait_words(words, elements, tag, patience, [&](int j) { return from + 8 * j; });
    uint16_t x[8];
#pragma unroll
    for (int j = 0; j < 8; ++j) x[j] = static_cast<uint16_t>(words[j] >> (own % 2 * 16));
    if (is_value) return keep_value(weights, unit, x, elements, own);
    norm_and_rotate(layer, weights, unit, x, constants, elements, own, is_key, head);
  }

  // What a lane's elements of a row are normed and rotated by; read before the row is waited for.
  struct Constants {
    float norm[8], cos[8], sin[8];
  };
  __device__ Constants constants_of(const DecodeLayer& weights, const AttentionUnit& unit,
                                    int elements, int own, bool is_key) const {
    const uint16_t* norm = (is_key ? weights.k_norm : weights.q_norm) + own;
    const float* turn = rope + unit.rows.token * head_dim();  // cosines, then sines
    const int half = head_dim() / 2;
    Constants constants;
#pragma unroll
    for (int j = 0; j < 8; ++j) {
      if (j >= elements) continue;
      const int i = own + 16 * j;
      const int column = i < half ? i : i - half;
      constants.norm[j] = bf16_to_f32(norm[16 * j]);
      constants.cos[j] = turn[column];
      constants.sin[j] = turn[half + column];
    }
    return constants;
  }

  __device__ void keep_value(const DecodeLayer& weights, const AttentionUnit& unit,
                             const uint16_t (&x)[8], int elements, int own) const {
    if (lane >= 16 || unit.own < 0) return;
    const auto row = static_cast<int>(unit.rows.keys - 1);
    uint16_t* there =
        weights.v_cache + unit.own * row_elements() + unit.rows.kv_head * head_dim() + own;
    auto* here = bf16s(at.v + row * at.line) + own;
    if (row < at.segment) put_row(here, x, elements);
    put_row(there, x, elements);
  }

  __device__ void norm_and_rotate(int layer, const DecodeLayer& weights, const AttentionUnit& unit,
                                  const uint16_t (&x)[8], const Constants& constants, int elements,
                                  int own, bool is_key, int head) const {
    float sum = 0.0f;
#pragma unroll
    for (int j = 0; j < 8; ++j) {
      if (j < elements) sum = sum + bf16_to_f32(x[j]) * bf16_to_f32(x[j]);
    }
    sum = __shfl_sync(0xffffffffu, fold_lanes<16>(sum), 0, 16);
    const float eps = is_key ? weights.k_eps : weights.q_eps;
    const float r = 1.0f / sqrtf(sum / static_cast<float>(head_dim()) + eps);
    uint16_t normed[8];
#pragma unroll
    for (int j = 0; j < 8; ++j) {
      if (j >= elements) continue;
      const float scaled = bf16_to_f32(to_bf16(bf16_to_f32(x[j]) * r));
      normed[j] = to_bf16(constants.norm[j] * scaled);
    }
    rotate(layer, weights, unit, normed, constants, elements, own, is_key, head);
  }

  // Half a head further, or back.
  __device__ static uint16_t other_half(const uint16_t (&x)[8], int j, int elements) {
    if (elements == 8) return x[j ^ 4];
    if (elements == 4) return x[j ^ 2];
    if (elements == 2) return x[j ^ 1];
    return static_cast<uint16_t>(__shfl_xor_sync(0xffffffffu, static_cast<uint32_t>(x[0]), 8));
  }

  __device__ void rotate(int layer, const DecodeLayer& weights, const AttentionUnit& unit,
                         const uint16_t (&normed)[8], const Constants& constants, int elements,
                         int own, bool is_key, int head) const {
    const DecodeOutputs& outputs = p.outputs[layer];
    const auto row = static_cast<int>(unit.rows.keys - 1);
    auto* here = bf16s(is_key ? at.k + row * at.line : at.q + warp * at.line);
    const bool is_kept = !is_key || (unit.own >= 0 && row < at.segment);
    uint16_t* there = is_key && unit.own >= 0 ? weights.k_cache + unit.own * row_elements() +
                                                    unit.rows.kv_head * head_dim()
                                              : nullptr;
    const int64_t first = is_key ? (unit.rows.token * kv_heads() + head - heads()) * head_dim()
                                 : (unit.rows.token * heads() + head) * head_dim();
    uint16_t turned[8];
#pragma unroll
    for (int j = 0; j < 8; ++j) {
      if (j >= elements) continue;
      const float mine = bf16_to_f32(normed[j]);
      const float other = bf16_to_f32(other_half(normed, j, elements));
      const bool is_first = own + 16 * j < head_dim() / 2;
      const float c = constants.cos[j];
      const float s = constants.sin[j];
      turned[j] = to_bf16(is_first ? mine * c - other * s : mine * c + other * s);
    }
    if (lane >= 16) return;
    if (is_kept) put_row(here + own, turned, elements);
    if (there != nullptr) put_row(there + own, turned, elements);
#pragma unroll
    for (int j = 0; j < 8; ++j) {
      if (!kObserved || j >= elements) continue;
      const int i = own + 16 * j;
      observe<kObserved>(is_key ? outputs.k_norm : outputs.q_norm, first + i, normed[j]);
      observe<kObserved>(is_key ? outputs.k_rope : outputs.q_rope, first + i, turned[j]);
    }
  }
  // A lane's elements of a row, every 16th.
  __device__ static void put_row(uint16_t* to, const uint16_t (&x)[8], int elements) {
#pragma unroll
    for (int j = 0; j < 8; ++j) {
      if (j < elements) to[16 * j] = x[j];
    }
  }

  // 32 keys a warp, whose two chains take turns; heads that are not there repeat the last.
  __device__ void find_scores(int keys) const {
    constexpr int kMostSteps = 8;
    const int steps = head_dim() / 16;
    const uint32_t q =
        shared_address(memory + at.q + min(lane % 8, group() - 1) * at.line + lane / 8 * 16);
#pragma unroll 1
    for (int first = warp * 32; first < keys; first += kDecodeWarps * 32) {
      const uint32_t k =
          shared_address(memory + at.k + (first + lane % 16) * at.line + lane / 16 * 16);
      float c[2][4] = {};
#pragma unroll
      for (int i = 0; i < kMostSteps; i += 2) {
        if (i >= steps) break;
        uint32_t b[4];
        load_matrices_at(b, q + i * 32);
#pragma unroll
        for (int j = 0; j < 2; ++j) {
          if (i + j >= steps) break;
          uint32_t a[2][4];
          load_matrices_at(a[0], k + (i + j) * 32);
          load_matrices_at(a[1], k + (i + j) * 32 + 16 * at.line);
          step(c[0], a[0], b[2 * j], b[2 * j + 1]);
          step(c[1], a[1], b[2 * j], b[2 * j + 1]);
        }
      }
#pragma unroll
      for (int e = 0; e < 2; ++e) {
        const int head = lane % 4 * 2 + e;
        if (head >= group()) continue;
        float* to = floats(at.scores) + head * at.segment + first + lane / 4;
        to[0] = c[0][e] * p.scale;
        to[8] = c[0][2 + e] * p.scale;
        to[16] = c[1][e] * p.scale;
        to[24] = c[1][2 + e] * p.scale;
      }
    }
  }

  // A warp a tile of a head's row; lane l has keys l and l + 32 of it.
  __device__ void find_weights(int keys, int parity) const {
    const int tiles = (keys + kAttentionTile - 1) / kAttentionTile;
    const int most_tiles = at.segment / kAttentionTile;
    for (int part = warp; part < group() * tiles; part += kDecodeWarps) {
      const int tile = part / group();
      const int head = part - tile * group();
      const float* scores = floats(at.scores) + head * at.segment + lane;
      float before = floats(at.maxima)[parity * group() + head];
      const float mine[2] = {score_of(scores, tile * kAttentionTile, keys),
                             score_of(scores, tile * kAttentionTile + 32, keys)};
#pragma unroll 4
      for (int key = 0; key < tile * kAttentionTile; key += 32)
        before = larger(before, scores[key]);
      before = max_of_warp(before);
      const float m = max_of_warp(larger(larger(before, mine[0]), mine[1]));
      float weights[2];
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const int key = tile * kAttentionTile + i * 32 + lane;
        weights[i] = key < keys ? exp_f32(mine[i] - m) : 0.0f;
        bf16s(at.p + head * at.p_line)[key] = to_bf16(weights[i]);
      }
      const float alpha = exp_f32(before - m);
      const float sum = sum_of_tile(weights);
      if (lane != 0) continue;
      floats(at.alphas)[head * most_tiles + tile] = alpha;
      floats(at.sums)[head * most_tiles + tile] = sum;
      if (tile + 1 == tiles) floats(at.maxima)[(1 - parity) * group() + head] = m;
    }
  }
  __device__ float score_of(const float* scores, int key, int keys) const {
    return key + lane < keys ? scores[key] : -INFINITY;
  }

  // Eight partial sums by key mod 8, ascending, then the tree. Keys that are not there add +0.
  __device__ float sum_of_tile(const float (&weights)[2]) const {
    float each[8];
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      each[i] = __shfl_sync(0xffffffffu, weights[i / 4], lane % 8 + i % 4 * 8);
    }
    float sum = 0.0f;
#pragma unroll
    for (int i = 0; i < 8; ++i) sum = sum + each[i];
    for (int width = 1; width <= 4; width *= 2) {
      sum = sum + __shfl_xor_sync(0xffffffffu, sum, width);
    }
    return sum;
  }

  // What a warp reads of a tile of weights and values.
  struct TileOfValues {
    uint32_t weights[2][4];
    uint32_t values[4][4];
    float alphas[2];
    float sums[2];
  };
  __device__ void read(TileOfValues& to, uint32_t p_rows, uint32_t v_rows, int tile) const {
#pragma unroll
    for (int e = 0; e < 2; ++e) {
      const int row = min(lane % 4 * 2 + e, group() - 1) * (at.segment / kAttentionTile) + tile;
      to.alphas[e] = floats(at.alphas)[row];
      to.sums[e] = floats(at.sums)[row];
    }
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      load_matrices_at(to.weights[i], p_rows + (tile * 64 + i * 32) * 2);
    }
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      load_transposed_at(to.values[i], v_rows + (tile * 64 + i * 16) * at.line);
    }
  }

  // 16 columns of V a warp, over the tiles of a segment, the next of which is on its way; o and l
  // go on from the segment before.
  __device__ void add_values(int keys, float (&o)[4], float (&l)[2]) const {
    const int tiles = (keys + kAttentionTile - 1) / kAttentionTile;
    const uint32_t p_rows =
        shared_address(memory + at.p + min(lane % 8, group() - 1) * at.p_line + lane / 8 * 16);
    const uint32_t v_rows = shared_address(memory + at.v + (lane % 8 + lane / 16 * 8) * at.line +
                                           (warp * 16 + lane / 8 % 2 * 8) * 2);
    TileOfValues tile[2];
    read(tile[0], p_rows, v_rows, 0);
#pragma unroll 1
    for (int first = 0; first < tiles; first += 2) {
#pragma unroll
      for (int h = 0; h < 2; ++h) {
        const int t = first + h;
        if (t >= tiles) continue;
        read(tile[1 - h], p_rows, v_rows, min(t + 1, tiles - 1));
        add_tile(tile[h], t, keys, o, l);
      }
    }
  }
  __device__ static void add_tile(const TileOfValues& tile, int t, int keys, float (&o)[4],
                                  float (&l)[2]) {
#pragma unroll
    for (int e = 0; e < 2; ++e) {
      l[e] = l[e] * tile.alphas[e];
      l[e] = l[e] + tile.sums[e];
      o[e] = o[e] * tile.alphas[e];
      o[2 + e] = o[2 + e] * tile.alphas[e];
    }
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      if (t * 64 + i * 16 >= keys) continue;
      step(o, tile.values[i], tile.weights[i / 2][i % 2 * 2], tile.weights[i / 2][i % 2 * 2 + 1]);
    }
  }

  // Two columns of a head are a lane's own, and the next of the lane four further.
  __device__ void publish(int layer, const AttentionUnit& unit, const float (&o)[4],
                          const float (&l)[2], uint32_t tag) const {
    const bool is_there = unit.rows.sequence >= 0;
    const auto token = static_cast<int>(unit.rows.token);
    const int first = static_cast<int>(unit.rows.first_head) * head_dim() + warp * 16 + lane / 4;
#pragma unroll
    for (int e = 0; e < 2; ++e) {
      const uint32_t mine = is_there ? pack_bf16(o[e] / l[e], o[2 + e] / l[e]) : 0;
      const uint32_t next = __shfl_down_sync(0xffffffffu, mine, 4);
      const uint32_t two = __byte_perm(mine, next, 0x5410);
      const uint32_t two_further = __byte_perm(mine, next, 0x7632);  // by eight columns
      const int in_group = lane % 4 * 2 + e;
      const int column = first + in_group * head_dim();
      const bool is_own = lane % 8 < 4 && in_group < group();
      if constexpr (kMost == 1) {
        if (is_own) {
          uint64_t* const to = exchanges.of_attention(layer) + column / 2;
          put_word(to, two, tag);
          put_word(to + 4, two_further, tag);
        }
      } else {
        const uint32_t next_two = __shfl_down_sync(0xffffffffu, two, 8);
        const uint32_t next_two_further = __shfl_down_sync(0xffffffffu, two_further, 8);
        if (is_own && lane % 16 < 4) {
          uint64_t* const to = exchanges.attention_fours(first_turn + layer);
          put_four(to + word_of(token, column), two, next_two);
          put_four(to + word_of(token, column + 8), two_further, next_two_further);
          uint64_t* const later = exchanges.attention_fours(first_turn + layer + kClearedAhead);
          for (int t = token; t < kDecodeTokens; t += tokens()) {
            clear_four(later + word_of(t, column));
            clear_four(later + word_of(t, column + 8));
          }
        }
      }
      if (!kObserved || !is_own) continue;
      uint16_t* const seen = p.outputs[layer].attention;
      const int64_t at_first = int64_t{token} * heads() * head_dim() + column;
      observe<kObserved>(seen, at_first, two);
      observe<kObserved>(seen, at_first + 8, two_further);
    }
  }

  // A segment of a unit, which is on its way. o and l go from one segment to the next.
  __device__ void run(int layer, const DecodeLayer& weights, const AttentionUnit& unit, int first,
                      float (&o)[4], float (&l)[2], uint32_t tag, const Patience& patience) const {
    const bool is_there = unit.rows.sequence >= 0;
    const int all = is_there ? static_cast<int>(unit.rows.keys) : 0;
    const int keys = min(all - first, at.segment);
    const int parity = first / at.segment % 2;
    if (first == 0) {
      if (tid < group()) floats(at.maxima)[tid] = -INFINITY;
      for (float& each : o) each = 0.0f;
      for (float& each : l) each = 0.0f;
      take_rows(layer, weights, unit, tag, patience);
    }
    wait_copies<0>();
    sync();
    if (is_there) {
      find_scores(keys);
      sync();
      find_weights(keys, parity);
      sync();
      if (warp < head_dim() / 16) add_values(keys, o, l);
    }
    if (first + keys == all && warp < head_dim() / 16) publish(layer, unit, o, l, tag);
    sync();
  }
};

}  // namespace samebits::cuda
