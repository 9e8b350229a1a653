// Attention's forward where sequences have many queries, in bf16: 128 rows to a block, 64 to a
// warpgroup. Tiles of keys and values come by the copy engine into two rings; one warp asks for
// them, over pages by the page table, and its neighbours look whether values are finite. A
// warpgroup has its queries, scores, weights and results in registers. The two take turns: while
// one multiplies, the other makes weights of its scores.

#include "harness/kernels/cuda/attention/attention.cuh"
#include "harness/kernels/cuda/runtime/launch.cuh"
#include "harness/kernels/cuda/runtime/tma.cuh"
#include "harness/kernels/cuda/runtime/wgmma.cuh"

namespace samebits::cuda {
namespace {

constexpr int kComputing = 2;  // warpgroups
constexpr int kThreads = (1 + kComputing) * kWarpgroup;
constexpr int kRows = kComputing * kRowsOfWarpgroup;
constexpr int kCheckers = 3;  // warps
constexpr int kStages = 4;
constexpr int kBoxBytes = kAttentionTile * kBoxLine;  // 64 keys, 64 of head_dim

template <int kDim>
constexpr int kTileBytes = kDim / kBoxDepth* kBoxBytes;

constexpr int kZeroBytes = 16 * kBoxLine;
constexpr int kRowsOfWarp = 16;
constexpr int kPad = 8;  // floats, so that eight rows lie in different banks

// Scratch of a warp: its results on their way out or, in its rare other way, its weights.
template <int kDim>
constexpr int kScratchBytes = kRowsOfWarp*(kDim + kPad) * 4;

template <int kDim>
constexpr int kSharedBytes =
    2 * kStages* kTileBytes<kDim> + kZeroBytes + kComputing* kWarpgroup / 32 * kScratchBytes<kDim>;

// Of the two rings. `free`: every warp that computes is done with it.
struct Barriers {
  uint64_t keys[kStages], values[kStages], checked[kStages];
  uint64_t keys_free[kStages], values_free[kStages];
  int not_finite[kStages];  // the number, from 1, of the last tile of values that was not
};

template <int kDim>
struct Rings {
  char* memory;
  Barriers* barriers;

  __device__ char* keys(int tile) const { return memory + tile % kStages * kTileBytes<kDim>; }
  __device__ char* values(int tile) const { return keys(tile) + kStages * kTileBytes<kDim>; }
  __device__ char* zeros() const { return memory + 2 * kStages * kTileBytes<kDim>; }
  // Of a warp that computes.
  __device__ char* scratch(int warp) const {
    return zeros() + kZeroBytes + warp * kScratchBytes<kDim>;
  }
};

__device__ void wait_tile(uint64_t (&barriers)[kStages], int tile) {
  wait_phase(&barriers[tile % kStages], tile / kStages);
}

// How a tile is cut: boxes of `lines` keys that lie together.
struct Boxes {
  int lines;
  int64_t rows;  // of all keys

  // Where the keys from `key` on begin; past the sequence's end, where there is nothing but zeros.
  __device__ int row(const RowsOfBlock& block, int64_t key, Fault* fault) const {
    const int64_t row =
        key < block.keys_seen() ? block.keys.index(key, block.keys.page(key), fault) : -1;
    return static_cast<int>(row < 0 ? rows : row);
  }
};

// By a warp: lane i has box i of every tile.
template <int kDim>
__device__ void fill_rings(const RowsOfBlock& block, const Boxes& boxes, const Rings<kDim>& rings,
                           const CUtensorMap& k, const CUtensorMap& v, int tiles, Fault* fault) {
  const int lane = static_cast<int>(threadIdx.x);
  const int first_line = lane * boxes.lines;
  const bool has_box = first_line < kAttentionTile;
  const int head = block.kv_head;
  const auto load = [&](char* tile, const CUtensorMap& map, int row, uint64_t* barrier) {
    for (int i = 0; i < kDim / kBoxDepth; ++i) {
      load_box(tile + i * kBoxBytes + first_line * kBoxLine, map, i * kBoxDepth, row, head,
               barrier);
    }
  };
  const auto row_of = [&](int tile) {
    return has_box ? boxes.row(block, tile * kAttentionTile + first_line, fault) : 0;
  };
  Barriers& barriers = *rings.barriers;
  int row = row_of(0);
  for (int tile = 0; tile < tiles; ++tile) {
    const int slot = tile % kStages;
    const int next = tile + 1 < tiles ? row_of(tile + 1) : 0;
    if (tile >= kStages) wait_tile(barriers.keys_free, tile - kStages);
    if (lane == 0) arrive_expecting(&barriers.keys[slot], kTileBytes<kDim>);
    __syncwarp();
    if (has_box) load(rings.keys(tile), k, row, &barriers.keys[slot]);
    if (tile >= kStages) wait_tile(barriers.values_free, tile - kStages);
    if (lane == 0) arrive_expecting(&barriers.values[slot], kTileBytes<kDim>);
    __syncwarp();
    if (has_box) load(rings.values(tile), v, row, &barriers.values[slot]);
    row = next;
  }
}

// By the checkers: a row must not meet values that it does not see, not even with a zero, unless
// they are finite.
template <int kDim>
__device__ void check_values(const Rings<kDim>& rings, int tiles) {
  Barriers& barriers = *rings.barriers;
  const int thread = static_cast<int>(threadIdx.x) - 32;
  for (int tile = 0; tile < tiles; ++tile) {
    wait_tile(barriers.values, tile);
    const auto* chunks = reinterpret_cast<const uint4*>(rings.values(tile));
    bool finite = true;
    for (int i = thread; i < kTileBytes<kDim> / 16; i += kCheckers * 32) {
      finite = finite && is_finite(chunks[i]);
    }
    const bool all = __all_sync(0xffffffffu, finite) != 0;
    if (thread % 32 != 0) continue;
    if (!all) barriers.not_finite[tile % kStages] = tile + 1;
    arrive(&barriers.checked[tile % kStages]);
  }
}

__device__ uint32_t two_weights(float low, float high) {
  uint32_t both;  // the step does not look at a NaN's bits
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;\n" : "=r"(both) : "f"(high), "f"(low));
  return both;
}

// What a thread has of its warpgroup's 64 rows: two of them, `lane / 4` of its warp's 16 and that
// + 8, as WarpgroupStep lays results out.
template <int kDim>
struct Rows {
  uint32_t q[kDim / 16][4];
  float o[kDim / 2];
  float m[2], l[2];
  int positions[2];    // -1: no row
  int least_position;  // of the warp's rows
  int lane;

  // A tile's weights p, from its products s. alpha: what came before counts so much now.
  __device__ void exponentiate(const float (&s)[32], float scale, int first, float (&p)[32],
                               float (&alpha)[2]) {
#pragma unroll
    for (int i = 0; i < 32; ++i) p[i] = s[i] * scale;
    if (least_position < first + kAttentionTile - 1) hide(p, first);
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      float largest = m[h];  // never a NaN, which fmaxf passes over
#pragma unroll
      for (int i = 2 * h; i < 32; i += 4) largest = fmaxf(largest, fmaxf(p[i], p[i + 1]));
      largest = fmaxf(largest, __shfl_xor_sync(0xffffffffu, largest, 1));
      largest = fmaxf(largest, __shfl_xor_sync(0xffffffffu, largest, 2));
      const bool sees = positions[h] >= first;
      const float subtracted = sees ? largest : 0.0f;  // weights are 0 where nothing is seen
      // How far below the largest, not negative, so that bits compare as numbers and NaN is most.
      uint32_t farthest[2] = {};
#pragma unroll
      for (int i = 2 * h; i < 32; i += 4) {
#pragma unroll
        for (int e = 0; e < 2; ++e) {
          p[i + e] = subtracted - p[i + e];
          farthest[e] = max(farthest[e], f32_bits(p[i + e]));
        }
      }
      if (__all_sync(0xffffffffu, max(farthest[0], farthest[1]) <= f32_bits(kOrdinaryExp))) {
#pragma unroll
        for (int i = 2 * h; i < 32; i += 4) {
          p[i] = ordinary_exp_f32(-p[i]);
          p[i + 1] = ordinary_exp_f32(-p[i + 1]);
        }
      } else {
#pragma unroll
        for (int i = 2 * h; i < 32; i += 4) {
          p[i] = exp_f32(-p[i]);
          p[i + 1] = exp_f32(-p[i + 1]);
        }
      }
      float even = 0.0f;
      float odd = 0.0f;
#pragma unroll
      for (int i = 2 * h; i < 32; i += 4) {
        even = even + p[i];
        odd = odd + p[i + 1];
      }
      float sum = even + odd;  // as sum_of_row() of attention.cuh
      sum = sum + __shfl_xor_sync(0xffffffffu, sum, 1);
      sum = sum + __shfl_xor_sync(0xffffffffu, sum, 2);
      alpha[h] = sees ? exp_f32(m[h] - largest) : 1.0f;
      const float product = l[h] * alpha[h];
      l[h] = product + sum;
      m[h] = largest;
    }
  }

 private:
  // Weighs 0 what is not seen. (Where all that is seen is infinite or NaN, so that this would weigh
  // NaN, the row's results are NaN anyway.)
  __device__ void hide(float (&p)[32], int first) const {
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      const int last = positions[h] - first - lane % 4 * 2;
#pragma unroll
      for (int i = 2 * h; i < 32; i += 4) {
        if (i / 4 * 8 > last) p[i] = -INFINITY;
        if (i / 4 * 8 + 1 > last) p[i + 1] = -INFINITY;
      }
    }
  }
};

// The products of 64 rows with a tile of keys, under way.
template <int kDim>
__device__ void begin_scores(float (&s)[32], const Rows<kDim>& rows, const char* keys) {
  begin_steps();
#pragma unroll
  for (int k = 0; k < kDim; k += 16) {
    const char* box = keys + k / kBoxDepth * kBoxBytes + k % kBoxDepth * 2;
    WarpgroupStep<64>::run<0>(s, rows.q[k / 16], box_descriptor(box, kBoxBytes), k == 0);
  }
  commit_steps();
}

// 16 lines of every box of a tile, for one step, and where those of the next step and box are.
struct Lines {
  const char* first;
  int step_bytes;
  int box_bytes;
};

// O += P V, under way.
template <int kDim>
__device__ void begin_results(Rows<kDim>& rows, const uint32_t (&p)[4][4], const Lines& values) {
  begin_steps();
#pragma unroll
  for (int t = 0; t < 4; ++t) {
    const char* lines = values.first + t * values.step_bytes;
    WarpgroupStep<kDim>::template run<1>(rows.o, p[t], box_descriptor(lines, values.box_bytes),
                                         false);
  }
  commit_steps();
}

// O += P V where a value is infinite or NaN.
template <int kDim>
__device__ void accumulate_seen(Rows<kDim>& rows, const uint32_t (&p)[4][4], char* values,
                                uint16_t* weights /* [16][64], of this warp */, int first) {
  const int lane = rows.lane;
#pragma unroll
  for (int t = 0; t < 4; ++t) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int row = lane / 4 + i % 2 * 8;
      const int column = t * 16 + i / 2 * 8 + lane % 4 * 2;
      *reinterpret_cast<uint32_t*>(weights + row * kAttentionTile + column) = p[t][i];
    }
  }
  __syncwarp();
  float sums[kDim / 2];  // indexed by a loop that is not unrolled: not the registers of `o`
#pragma unroll
  for (int i = 0; i < kDim / 2; ++i) sums[i] = rows.o[i];
#pragma unroll 1
  for (int i = 0; i < kDim / 2; ++i) {
    const int column = i / 4 * 8 + lane % 4 * 2 + i % 2;
    const int half = i / 2 % 2;
    const uint16_t* row = weights + (lane / 4 + half * 8) * kAttentionTile;
    const int seen = min(rows.positions[half] + 1 - first, kAttentionTile);
    const auto value = [&](int key) {
      char* box = values + column / kBoxDepth * kBoxBytes;
      return reinterpret_cast<const uint16_t*>(
          box_chunk(box, key, column % kBoxDepth / 8))[column % 8];
    };
    sums[i] = chain_over_seen(sums[i], row, seen, value);
  }
#pragma unroll
  for (int i = 0; i < kDim / 2; ++i) rows.o[i] = sums[i];
  __syncwarp();
}

// Of two warpgroups, who may multiply (named barriers 1 and 2, of both).
struct Turns {
  int warpgroup;

  __device__ void wait() const {
    asm volatile("bar.sync %0, %1;\n" ::"r"(1 + warpgroup), "n"(kComputing * kWarpgroup)
                 : "memory");
  }
  __device__ void pass_on() const {
    asm volatile("bar.arrive %0, %1;\n" ::"r"(2 - warpgroup), "n"(kComputing * kWarpgroup)
                 : "memory");
  }
};

// By a warpgroup: every tile that the block sees. One body for all, so that there is little to
// bring to the processor: results are one tile behind scores, and what there is not is multiplied
// all the same, results by zeros, scores to no end.
template <int kDim>
__device__ void run_tiles(Rows<kDim>& rows, const Rings<kDim>& rings, const Turns& turns,
                          float scale, int tiles, char* scratch) {
  Barriers& barriers = *rings.barriers;
  const auto release = [&](uint64_t(&free)[kStages], int tile) {
    if (rows.lane == 0) arrive(&free[tile % kStages]);
  };
  float weights[32];
  float alpha[2];
  uint32_t p[4][4] = {};
  Lines values{rings.zeros(), 0, 0};
  wait_tile(barriers.keys, 0);
  for (int tile = 0;; ++tile) {
    const bool has_scores = tile < tiles;
    float s[32];
    turns.wait();
    begin_scores(s, rows, has_scores ? rings.keys(tile) : rings.scratch(0));
    begin_results(rows, p, values);
    turns.pass_on();
    wait_steps<1>();
    settle(s);
    if (has_scores) {
      release(barriers.keys_free, tile);
      rows.exponentiate(s, scale, tile * kAttentionTile, weights, alpha);
      wait_tile(barriers.checked, tile);  // by those who waited for the values
      if (tile + 1 < tiles) wait_tile(barriers.keys, tile + 1);
    }
    wait_steps<0>();
    settle(rows.o);
    if (tile > 0) release(barriers.values_free, tile - 1);
    if (!has_scores) break;
#pragma unroll
    for (int i = 0; i < kDim / 2; ++i) rows.o[i] = rows.o[i] * alpha[i / 2 % 2];
#pragma unroll
    for (int i = 0; i < 16; ++i) p[i / 4][i % 4] = two_weights(weights[2 * i], weights[2 * i + 1]);
    values = {rings.values(tile), 16 * kBoxLine, kBoxBytes};
    if (barriers.not_finite[tile % kStages] == tile + 1) {
      accumulate_seen(rows, p, rings.values(tile), reinterpret_cast<uint16_t*>(scratch),
                      tile * kAttentionTile);
      values = {rings.zeros(), 0, 0};
    }
  }
}

// How a warp's rows lie in its scratch, [16][kStride] floats: results, then l and the row's place.
template <int kDim>
struct Staged {
  static constexpr int kStride = kDim + kPad;
  float* rows;

  __device__ float* results(int row) const { return rows + row * kStride; }
  __device__ float& l(int row) const { return results(row)[kDim]; }
  __device__ int64_t& place(int row) const {
    return *reinterpret_cast<int64_t*>(results(row) + kDim + 2);
  }
};

// q, eight bf16 of each row at a time, by way of `staged`.
template <int kDim>
__device__ void load_queries(Rows<kDim>& rows, const Staged<kDim>& staged, const uint16_t* q,
                             int head_dim) {
  constexpr int kChunks = kDim / 8;
  constexpr int kEach = kRowsOfWarp * kChunks / 32;
  const auto chunk = [&](int row, int column) {
    return reinterpret_cast<uint16_t*>(staged.results(row)) + column;
  };
  uint4 eight[kEach];
#pragma unroll
  for (int i = 0; i < kEach; ++i) {
    const int row = (rows.lane + i * 32) / kChunks;
    const int column = (rows.lane + i * 32) % kChunks * 8;
    const int64_t place = staged.place(row);
    eight[i] = uint4{};
    if (place >= 0 && column < head_dim) {
      eight[i] = *reinterpret_cast<const uint4*>(q + place * head_dim + column);
    }
  }
#pragma unroll
  for (int i = 0; i < kEach; ++i) {
    *reinterpret_cast<uint4*>(
        chunk((rows.lane + i * 32) / kChunks, (rows.lane + i * 32) % kChunks * 8)) = eight[i];
  }
  __syncwarp();
#pragma unroll
  for (int k = 0; k < kDim; k += 16) {
    load_matrices(rows.q[k / 16], chunk(rows.lane % 16, k + rows.lane / 16 * 8));
  }
  __syncwarp();
}

// x / l, rounded once, eight times: from an approximate 1 / l, corrected until it is exact, as the
// division of one number does it, where no step leaves the normal numbers; one by one elsewhere.
__device__ void divide(float (&x)[8], float l) {
  const uint32_t smallest = f32_bits(0x1p-60f);
  const uint32_t largest = f32_bits(0x1p60f);
  uint32_t least = f32_bits(l);  // of all that are not 0; a negative l or a NaN is above `largest`
  uint32_t most = least;
#pragma unroll
  for (const float each : x) {
    const uint32_t bits = f32_bits(fabsf(each));
    least = min(least, bits == 0 ? smallest : bits);
    most = max(most, bits);
  }
  if (least < smallest || most > largest) {
#pragma unroll 1
    for (float& each : x) each = each / l;
    return;
  }
  float inverse;
  asm("rcp.approx.ftz.f32 %0, %1;\n" : "=f"(inverse) : "f"(l));
  inverse = fmaf(inverse, fmaf(-l, inverse, 1.0f), inverse);
#pragma unroll
  for (float& each : x) {
    float quotient = each * inverse;
    quotient = fmaf(fmaf(-l, quotient, each), inverse, quotient);
    each = fmaf(fmaf(-l, quotient, each), inverse, quotient);
  }
}

// O / l of a warp's rows, by way of `staged`, so that a thread has eight columns at a time.
template <int kDim>
__device__ void write_results(const Rows<kDim>& rows, const Staged<kDim>& staged,
                              const int64_t (&places)[2], int head_dim, uint16_t* out) {
#pragma unroll
  for (int i = 0; i < kDim / 2; i += 2) {
    const int row = rows.lane / 4 + i / 2 % 2 * 8;
    const int column = i / 4 * 8 + rows.lane % 4 * 2;
    *reinterpret_cast<float2*>(staged.results(row) + column) = {rows.o[i], rows.o[i + 1]};
  }
  if (rows.lane % 4 == 0) {
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      staged.l(rows.lane / 4 + h * 8) = rows.l[h];
      staged.place(rows.lane / 4 + h * 8) = places[h];
    }
  }
  __syncwarp();
#pragma unroll 2
  for (int i = rows.lane; i < kRowsOfWarp * (kDim / 8); i += 32) {
    const int row = i / (kDim / 8);
    const int column = i % (kDim / 8) * 8;
    const int64_t place = staged.place(row);
    if (place < 0 || column >= head_dim) continue;
    float x[8];
#pragma unroll
    for (int j = 0; j < 8; ++j) x[j] = staged.results(row)[column + j];
    divide(x, staged.l(row));
    *reinterpret_cast<uint4*>(out + place * head_dim + column) = {
        pack_bf16(x[0], x[1]), pack_bf16(x[2], x[3]), pack_bf16(x[4], x[5]), pack_bf16(x[6], x[7])};
  }
}

template <int kDim>
__global__ void __launch_bounds__(kThreads, 1)
    prefill_kernel(Attention size, Pages pages, Boxes boxes, const __grid_constant__ CUtensorMap k,
                   const __grid_constant__ CUtensorMap v, const uint16_t* q, uint16_t* out,
                   float* lse, Fault* fault) {
  extern __shared__ __align__(1024) char memory[];
  __shared__ Barriers barriers;
  const RowsOfBlock block = rows_of_block(size, pages, kRows, fault);
  if (block.rows <= 0) return;
  if (threadIdx.x == 0) {
    for (int i = 0; i < kStages; ++i) {
      init_barrier(&barriers.keys[i], 1);
      init_barrier(&barriers.values[i], 1);
      init_barrier(&barriers.checked[i], kCheckers);
      init_barrier(&barriers.keys_free[i], kComputing * kWarpgroup / 32);
      init_barrier(&barriers.values_free[i], kComputing * kWarpgroup / 32);
      barriers.not_finite[i] = 0;
    }
    publish_barriers();
  }
  const Rings<kDim> rings{memory, &barriers};
  if (threadIdx.x < kZeroBytes / 16) {
    reinterpret_cast<uint4*>(rings.zeros())[threadIdx.x] = uint4{};
    show_steps();
  }
  __syncthreads();
  const int tiles = (block.keys_seen() + kAttentionTile - 1) / kAttentionTile;
  if (threadIdx.x < kWarpgroup) {
    give_registers<40>();
    if (threadIdx.x < 32) {
      fill_rings<kDim>(block, boxes, rings, k, v, tiles, fault);
    } else {
      check_values<kDim>(rings, tiles);
    }
    return;
  }
  take_registers<232>();
  const int thread = static_cast<int>(threadIdx.x) - kWarpgroup;
  const int head_dim = static_cast<int>(size.head_dim);
  char* scratch = rings.scratch(thread / 32);
  const Staged<kDim> staged{reinterpret_cast<float*>(scratch)};
  Rows<kDim> rows{};
  rows.lane = thread % 32;
  int64_t places[2];
#pragma unroll
  for (int h = 0; h < 2; ++h) {
    const int row = thread / 32 * kRowsOfWarp + rows.lane / 4 + h * 8;
    const bool is_there = row < block.rows;
    rows.positions[h] = is_there ? block.position(row) : -1;
    rows.m[h] = -INFINITY;
    places[h] = is_there ? block.place(row, size.heads) : -1;
    if (rows.lane % 4 == 0) staged.place(rows.lane / 4 + h * 8) = places[h];
  }
  __syncwarp();
  rows.least_position = __reduce_min_sync(0xffffffffu, min(rows.positions[0], rows.positions[1]));
  load_queries(rows, staged, q, head_dim);
  const Turns turns{warpgroup_of(thread)};
  if (turns.warpgroup == 1) turns.pass_on();  // the first to the other
  run_tiles(rows, rings, turns, size.scale, tiles, scratch);
  if (turns.warpgroup == 0) turns.wait();  // for the last that the other passes on
  if (lse != nullptr && rows.lane % 4 == 0) {
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      if (places[h] >= 0) lse[places[h]] = canonical_nan_f32(rows.m[h] + log_f32(rows.l[h]));
    }
  }
  write_results(rows, staged, places, head_dim, out);
}

template <int kDim>
void launch_prefill(const Attention& size, const Pages& pages, const void* q, const void* k,
                    const void* v, void* out, float* lse, cudaStream_t stream) {
  const bool has_pages = pages.block_table != nullptr;
  Boxes boxes{};
  boxes.lines = has_pages && pages.page_rows < kAttentionTile ? static_cast<int>(pages.page_rows)
                                                              : kAttentionTile;
  boxes.rows = has_pages ? pages.pages * pages.page_rows : size.tokens;
  const auto map = [&](const void* x) {
    return map_boxes(
        {x, size.head_dim, boxes.rows, size.kv_heads, size.kv_heads * size.head_dim, size.head_dim},
        boxes.lines, /*box_slices=*/1);
  };
  const auto parts = static_cast<unsigned>(most_parts(size, size.heads / size.kv_heads, kRows));
  allow_shared_memory(prefill_kernel<kDim>, kSharedBytes<kDim>);
  launch_in_order(prefill_kernel<kDim>, dim3(parts, static_cast<unsigned>(size.kv_heads)), kThreads,
                  kSharedBytes<kDim>, stream, size, pages, boxes, map(k), map(v),
                  static_cast<const uint16_t*>(q), static_cast<uint16_t*>(out), lse,
                  fault_record());
}

}  // namespace

bool is_prefill(const Attention& size, const Pages& pages, const void* q, const void* k,
                const void* v, const void* out) {
  constexpr int64_t kMostRows = INT32_MAX - kAttentionTile;
  const int64_t rows = pages.block_table != nullptr ? pages.pages * pages.page_rows : size.tokens;
  const bool has_boxes = pages.block_table == nullptr || pages.page_rows % kAttentionTile == 0 ||
                         (pages.page_rows % 8 == 0 && kAttentionTile % pages.page_rows == 0);
  return size.bf16 && size.head_dim <= 128 && has_boxes && rows > 0 && rows < kMostRows &&
         rows_are_aligned(q, size.head_dim) && rows_are_aligned(k, size.head_dim) &&
         rows_are_aligned(v, size.head_dim) && rows_are_aligned(out, size.head_dim);
}

void prefill_attention(const Attention& size, const Pages& pages, const void* q, const void* k,
                       const void* v, void* out, float* lse, cudaStream_t stream) {
  size.head_dim <= 64 ? launch_prefill<64>(size, pages, q, k, v, out, lse, stream)
                      : launch_prefill<128>(size, pages, q, k, v, out, lse, stream);
}

}  // namespace samebits::cuda
