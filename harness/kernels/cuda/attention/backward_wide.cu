// Attention's gradients in bf16, for heads that the copy engine brings: blocks of 128 queries of a
// head give dq, blocks of 128 keys of a key-value head dk and dv, a warpgroup 64 of them. The tiles
// that a block walks through, keys and values or queries and dout, come into a ring; one warp asks
// for them, its neighbours clear what lies past the sequence's end. Both passes compute the scores.

#include "harness/kernels/cuda/attention/attention.cuh"
#include "harness/kernels/cuda/attention/backward.cuh"
#include "harness/kernels/cuda/runtime/launch.cuh"
#include "harness/kernels/cuda/runtime/tma.cuh"
#include "harness/kernels/cuda/runtime/wgmma.cuh"

namespace samebits::cuda {
namespace {

constexpr int kComputing = 2;  // warpgroups
constexpr int kThreads = (1 + kComputing) * kWarpgroup;
constexpr int kRows = kComputing * kRowsOfWarpgroup;
constexpr int kHelpers = kWarpgroup / 32 - 1;  // warps
constexpr int kStages = 4;
constexpr int kBoxBytes = kAttentionTile * kBoxLine;  // 64 rows, 64 of head_dim

template <int kDim>
constexpr int kTileBytes = kDim / kBoxDepth* kBoxBytes;
// The block's own tiles, of two operands, and the ring's.
template <int kDim>
constexpr int kSharedBytes = 2 * (kComputing + kStages) * kTileBytes<kDim>;

struct Shared {
  uint64_t own, full[kStages], ready[kStages], free[kStages];
  float lses[kStages][kAttentionTile];  // of the queries that are walked through
  float deltas[kStages][kAttentionTile];
};

template <int kDim>
struct Memory {
  char* tiles;
  Shared* shared;

  __device__ char* own(int warpgroup, int operand) const {
    return tiles + (warpgroup * 2 + operand) * kTileBytes<kDim>;
  }
  __device__ char* walked(int step, int operand) const {
    return own(kComputing + step % kStages, operand);
  }
};

// A block's 128 positions of one sequence.
struct Block {
  SequencePart part;
  int first;  // position

  __device__ int length() const { return static_cast<int>(part.length); }
  __device__ int tiles() const { return (min(length() - first, kRows) + 63) / kAttentionTile; }
  __device__ int row(int position) const { return static_cast<int>(part.start) + position; }
};

// What a block walks through: tile `first` of the sequence on, of a head.
struct Step {
  int first;  // position
  int head;
};

template <int kDim>
__device__ void load_tile(char* tile, const CUtensorMap& map, int row, int head,
                          uint64_t* barrier) {
  for (int i = 0; i < kDim / kBoxDepth; ++i) {
    load_box(tile + i * kBoxBytes, map, i * kBoxDepth, row, head, barrier);
  }
}

// Two operands in memory, each [tokens, heads, head_dim].
struct Maps {
  const CUtensorMap& first;
  const CUtensorMap& second;
};

// By one thread. step_of(i): the steps.
template <int kDim, typename StepOf>
__device__ void fill(const Block& block, const Memory<kDim>& memory, const Maps& own, int own_head,
                     const Maps& walked, int steps, StepOf step_of) {
  Shared& shared = *memory.shared;
  arrive_expecting(&shared.own, block.tiles() * 2 * kTileBytes<kDim>);
  for (int w = 0; w < block.tiles(); ++w) {
    const int row = block.row(block.first + w * kAttentionTile);
    load_tile<kDim>(memory.own(w, 0), own.first, row, own_head, &shared.own);
    load_tile<kDim>(memory.own(w, 1), own.second, row, own_head, &shared.own);
  }
  for (int i = 0; i < steps; ++i) {
    uint64_t* full = &shared.full[i % kStages];
    const Step step = step_of(i);
    if (i >= kStages) wait_phase(&shared.free[i % kStages], i / kStages - 1);
    arrive_expecting(full, 2 * kTileBytes<kDim>);
    load_tile<kDim>(memory.walked(i, 0), walked.first, block.row(step.first), step.head, full);
    load_tile<kDim>(memory.walked(i, 1), walked.second, block.row(step.first), step.head, full);
  }
}

// By the helpers: makes a step's tiles ready. also(i, step, thread, threads): beside them.
template <int kDim, typename StepOf, typename Also>
__device__ void prepare(const Block& block, const Memory<kDim>& memory, int steps, StepOf step_of,
                        Also also) {
  Shared& shared = *memory.shared;
  const int thread = static_cast<int>(threadIdx.x) - 32;
  for (int i = 0; i < steps; ++i) {
    const Step step = step_of(i);
    const int lines = min(block.length() - step.first, kAttentionTile);
    wait_phase(&shared.full[i % kStages], i / kStages);
    also(i, step, thread, kHelpers * 32);
    if (lines < kAttentionTile) {
      constexpr int kChunk = 16;
      const int chunks = (kAttentionTile - lines) * (kBoxLine / kChunk);  // of a box
      for (int j = thread; j < chunks * (2 * kTileBytes<kDim> / kBoxBytes); j += kHelpers * 32) {
        char* box = memory.walked(i, 0) + j / chunks * kBoxBytes;
        *reinterpret_cast<uint4*>(box + lines * kBoxLine + j % chunks * kChunk) = uint4{};
      }
      show_steps();
    }
    __syncwarp();
    if (thread % 32 == 0) arrive(&shared.ready[i % kStages]);
  }
}

// c = a tile's 64 rows by 64 rows of another, over head_dim, under way.
template <int kDim>
__device__ void begin_products(float (&c)[32], const char* a, const char* b) {
  begin_steps();
#pragma unroll
  for (int k = 0; k < kDim; k += 16) {
    const int at = k / kBoxDepth * kBoxBytes + k % kBoxDepth * 2;
    WarpgroupStep<64>::run<0, 0>(c, box_descriptor(a + at, kBoxBytes),
                                 box_descriptor(b + at, kBoxBytes), k == 0);
  }
  commit_steps();
}

// c += 64 x 64 rounded numbers by a tile's 64 rows, under way.
template <int kDim>
__device__ void run_rows(float (&c)[kDim / 2], const uint32_t (&p)[4][4], const char* tile) {
#pragma unroll
  for (int t = 0; t < 4; ++t) {
    WarpgroupStep<kDim>::template run<1>(
        c, p[t], box_descriptor(tile + t * 16 * kBoxLine, kBoxBytes), false);
  }
}

__device__ uint32_t two_rounded(float low, float high) {
  uint32_t both;  // the step does not look at a NaN's bits
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;\n" : "=r"(both) : "f"(high), "f"(low));
  return both;
}

__device__ void round_all(const float (&x)[32], uint32_t (&p)[4][4]) {
#pragma unroll
  for (int i = 0; i < 16; ++i) p[i / 4][i % 4] = two_rounded(x[2 * i], x[2 * i + 1]);
}

// p and ds of every pair from its two chains (flash_attention.h), in their place. lse(i), delta(i):
// of element i's query.
template <typename Lse, typename Delta>
__device__ void gradients_of_scores(float (&s)[32], float (&dp)[32], float scale, Lse lse,
                                    Delta delta) {
  // How far below lse, not negative as a rule, so that bits compare as numbers and NaN is most.
  uint32_t farthest = 0;
#pragma unroll
  for (int i = 0; i < 32; ++i) {
    s[i] = lse(i) - s[i] * scale;
    farthest = max(farthest, f32_bits(s[i]));
  }
  if (__all_sync(0xffffffffu, farthest <= f32_bits(kOrdinaryExp))) {
#pragma unroll
    for (int i = 0; i < 32; ++i) s[i] = ordinary_exp_f32(-s[i]);
  } else {
#pragma unroll
    for (int i = 0; i < 32; ++i) s[i] = exp_f32(-s[i]);
  }
#pragma unroll
  for (int i = 0; i < 32; ++i) dp[i] = (s[i] * (dp[i] - delta(i))) * scale;
}

// What a thread has of its warpgroup's 64 x 64: element i is of this row and column.
struct Own {
  int row;     // and that + 8
  int column;  // and the next, and 8, 16, ... further

  __device__ int row_of(int i) const { return row + i / 2 % 2 * 8; }
  __device__ int column_of(int i) const { return column + i / 4 * 8 + i % 2; }
};

__device__ Own own_of(int thread) {
  return {thread % kWarpgroup / 32 * 16 + thread % 32 / 4, thread % 4 * 2};
}

template <int kDim>
__device__ void store_rows(const float (&c)[kDim / 2], const Own& own, const Attention& size,
                           const Block& block, int first, uint16_t* x, int64_t heads, int head) {
#pragma unroll
  for (int i = 0; i < kDim / 2; i += 2) {
    const int position = first + own.row_of(i);
    const int column = own.column_of(i);
    if (position >= block.length() || column >= size.head_dim) continue;
    *reinterpret_cast<uint32_t*>(
        x + (static_cast<int64_t>(block.row(position)) * heads + head) * size.head_dim + column) =
        pack_bf16(c[i], c[i + 1]);
  }
}

__device__ void begin_barriers(Shared& shared) {
  if (threadIdx.x == 0) {
    init_barrier(&shared.own, 1);
    for (int i = 0; i < kStages; ++i) {
      init_barrier(&shared.full[i], 1);
      init_barrier(&shared.ready[i], kHelpers);
      init_barrier(&shared.free[i], kComputing * kWarpgroup / 32);
    }
    publish_barriers();
  }
  __syncthreads();
}

__device__ void wait_step(Shared& shared, int step) {
  wait_phase(&shared.full[step % kStages], step / kStages);
  wait_phase(&shared.ready[step % kStages], step / kStages);
}
__device__ void release(Shared& shared, int step) {
  if (threadIdx.x % 32 == 0) arrive(&shared.free[step % kStages]);
}

template <int kDim>
__global__ void __launch_bounds__(kThreads, 1)
    query_gradients_kernel(Attention size, BackwardTensors t, const __grid_constant__ CUtensorMap q,
                           const __grid_constant__ CUtensorMap dout,
                           const __grid_constant__ CUtensorMap k,
                           const __grid_constant__ CUtensorMap v, Fault* fault) {
  extern __shared__ __align__(1024) char tiles[];
  __shared__ Shared shared;
  // The last positions of a sequence see most keys, so they start first.
  const SequencePart part = find_part(size, 1, kRows, gridDim.x - 1 - blockIdx.x, fault);
  if (part.sequence < 0) return;
  const Block block{part, part.part * kRows};
  const Memory<kDim> memory{tiles, &shared};
  const int head = static_cast<int>(blockIdx.y);
  const int kv_head = head / static_cast<int>(size.heads / size.kv_heads);
  const int steps = block.first / kAttentionTile + block.tiles();
  const auto step_of = [&](int i) { return Step{i * kAttentionTile, kv_head}; };
  begin_barriers(shared);
  if (threadIdx.x < kWarpgroup) {
    give_registers<40>();
    if (threadIdx.x == 0) fill<kDim>(block, memory, {q, dout}, head, {k, v}, steps, step_of);
    if (threadIdx.x >= 32) {
      prepare<kDim>(block, memory, steps, step_of, [](int, const Step&, int, int) {});
    }
    return;
  }
  take_registers<232>();
  const int thread = static_cast<int>(threadIdx.x) - kWarpgroup;
  const int warpgroup = warpgroup_of(thread);
  const Own own = own_of(thread);
  const int first = block.first + warpgroup * kAttentionTile;
  float lse[2] = {};
  float delta[2] = {};
#pragma unroll
  for (int h = 0; h < 2; ++h) {
    const int position = first + own.row + h * 8;
    if (position >= block.length()) continue;
    const int64_t at = static_cast<int64_t>(block.row(position)) * size.heads + head;
    lse[h] = t.lse[at];
    delta[h] = t.delta[at];
  }
  float dq[kDim / 2];
#pragma unroll
  for (int i = 0; i < kDim / 2; ++i) dq[i] = 0.0f;
  wait_phase(&shared.own, 0);
  for (int step = 0; step < steps; ++step) {
    wait_step(shared, step);
    const int key = step * kAttentionTile;
    if (key <= first && first < block.length()) {
      float s[32];
      float dp[32];
      uint32_t ds[4][4];
      begin_products<kDim>(s, memory.own(warpgroup, 0), memory.walked(step, 0));
      begin_products<kDim>(dp, memory.own(warpgroup, 1), memory.walked(step, 1));
      wait_steps<0>();
      settle(s);
      settle(dp);
      gradients_of_scores(
          s, dp, size.scale, [&](int i) { return lse[i / 2 % 2]; },
          [&](int i) { return delta[i / 2 % 2]; });
      if (key == first) {  // what is masked; past the sequence's end, too
#pragma unroll
        for (int i = 0; i < 32; ++i) {
          if (own.column_of(i) > own.row_of(i)) dp[i] = 0.0f;
        }
      }
      round_all(dp, ds);
      begin_steps();
      run_rows<kDim>(dq, ds, memory.walked(step, 0));
      commit_steps();
      wait_steps<0>();
      settle(dq);
    }
    release(shared, step);
  }
  store_rows<kDim>(dq, own, size, block, first, t.dq, size.heads, head);
}

// Rows are keys here, columns queries.
template <int kDim>
__global__ void __launch_bounds__(kThreads, 1)
    key_gradients_kernel(Attention size, BackwardTensors t, const __grid_constant__ CUtensorMap q,
                         const __grid_constant__ CUtensorMap dout,
                         const __grid_constant__ CUtensorMap k,
                         const __grid_constant__ CUtensorMap v, Fault* fault) {
  extern __shared__ __align__(1024) char tiles[];
  __shared__ Shared shared;
  const SequencePart part = find_part(size, 1, kRows, blockIdx.x, fault);
  if (part.sequence < 0) return;
  const Block block{part, part.part * kRows};
  const Memory<kDim> memory{tiles, &shared};
  const int kv_head = static_cast<int>(blockIdx.y);
  const int group = static_cast<int>(size.heads / size.kv_heads);
  const int tiles_of_head = (block.length() - block.first + kAttentionTile - 1) / kAttentionTile;
  const int steps = group * tiles_of_head;
  const auto step_of = [&](int i) {
    const int head = i / tiles_of_head;
    return Step{block.first + (i - head * tiles_of_head) * kAttentionTile, kv_head * group + head};
  };
  begin_barriers(shared);
  if (threadIdx.x < kWarpgroup) {
    give_registers<40>();
    if (threadIdx.x == 0) fill<kDim>(block, memory, {k, v}, kv_head, {q, dout}, steps, step_of);
    if (threadIdx.x >= 32) {
      const auto bring = [&](int i, const Step& step, int thread, int threads) {
        for (int j = thread; j < kAttentionTile; j += threads) {
          const int position = step.first + j;
          if (position >= block.length()) continue;
          const int64_t at = static_cast<int64_t>(block.row(position)) * size.heads + step.head;
          shared.lses[i % kStages][j] = t.lse[at];
          shared.deltas[i % kStages][j] = t.delta[at];
        }
      };
      prepare<kDim>(block, memory, steps, step_of, bring);
    }
    return;
  }
  take_registers<232>();
  const int thread = static_cast<int>(threadIdx.x) - kWarpgroup;
  const int warpgroup = warpgroup_of(thread);
  const Own own = own_of(thread);
  const int first = block.first + warpgroup * kAttentionTile;
  float dk[kDim / 2];
  float dv[kDim / 2];
#pragma unroll
  for (int i = 0; i < kDim / 2; ++i) dk[i] = dv[i] = 0.0f;
  wait_phase(&shared.own, 0);
  for (int step = 0; step < steps; ++step) {
    wait_step(shared, step);
    const int query = step_of(step).first;
    if (query >= first && first < block.length()) {
      float s[32];
      float dp[32];
      uint32_t p[4][4];
      uint32_t ds[4][4];
      begin_products<kDim>(s, memory.own(warpgroup, 0), memory.walked(step, 0));
      begin_products<kDim>(dp, memory.own(warpgroup, 1), memory.walked(step, 1));
      const float* lses = shared.lses[step % kStages];
      const float* deltas = shared.deltas[step % kStages];
      wait_steps<0>();
      settle(s);
      settle(dp);
      gradients_of_scores(
          s, dp, size.scale, [&](int i) { return lses[own.column_of(i)]; },
          [&](int i) { return deltas[own.column_of(i)]; });
      const int count = block.length() - query;
      if (query == first || count < kAttentionTile) {  // what is masked or past the end
#pragma unroll
        for (int i = 0; i < 32; ++i) {
          if (own.column_of(i) < count && first + own.row_of(i) <= query + own.column_of(i)) {
            continue;
          }
          s[i] = 0.0f;
          dp[i] = 0.0f;
        }
      }
      round_all(s, p);
      round_all(dp, ds);
      begin_steps();
      run_rows<kDim>(dv, p, memory.walked(step, 1));
      run_rows<kDim>(dk, ds, memory.walked(step, 0));
      commit_steps();
      wait_steps<0>();
      settle(dv);
      settle(dk);
    }
    release(shared, step);
  }
  store_rows<kDim>(dk, own, size, block, first, t.dk, size.kv_heads, kv_head);
  store_rows<kDim>(dv, own, size, block, first, t.dv, size.kv_heads, kv_head);
}

template <int kDim>
void launch_wide(const Attention& size, const BackwardTensors& t, cudaStream_t stream) {
  const auto map = [&](const void* x, int64_t heads) {
    return map_boxes({x, size.head_dim, size.tokens, heads, heads * size.head_dim, size.head_dim},
                     kAttentionTile, /*box_slices=*/1);
  };
  const CUtensorMap q = map(t.q, size.heads);
  const CUtensorMap dout = map(t.dout, size.heads);
  const CUtensorMap k = map(t.k, size.kv_heads);
  const CUtensorMap v = map(t.v, size.kv_heads);
  const auto parts = static_cast<unsigned>(most_parts(size, 1, kRows));
  const auto run = [&](auto kernel, int64_t heads) {
    allow_shared_memory(kernel, kSharedBytes<kDim>);
    launch_in_order(kernel, dim3(parts, static_cast<unsigned>(heads)), kThreads, kSharedBytes<kDim>,
                    stream, size, t, q, dout, k, v, fault_record());
  };
  run(query_gradients_kernel<kDim>, size.heads);
  run(key_gradients_kernel<kDim>, size.kv_heads);
}

}  // namespace

bool is_wide(const Attention& size, const BackwardTensors& t) {
  const auto is_aligned = [&](const void* x) { return rows_are_aligned(x, size.head_dim); };
  return size.head_dim <= 128 && size.tokens < INT32_MAX - kRows && is_aligned(t.q) &&
         is_aligned(t.k) && is_aligned(t.v) && is_aligned(t.dout);
}

void wide_gradients(const Attention& size, const BackwardTensors& t, cudaStream_t stream) {
  size.head_dim <= 64 ? launch_wide<64>(size, t, stream) : launch_wide<128>(size, t, stream);
}

}  // namespace samebits::cuda
