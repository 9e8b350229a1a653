#pragma once

// The products of a persistent decode step (linear.h), tile by tile.

#include "harness/kernels/cuda/gemm/gemm.cuh"
#include "harness/kernels/cuda/persistent/norm.cuh"

namespace samebits::cuda {

constexpr int kSliceBarriers = 3;  // named barriers from here on, one for each slice or pair

// A chain over `steps` steps of k: tokens are the rows of the step, rows of weights its columns.
// Fragments of three pairs of steps are on their way; past the end they are read and not used. A
// short loop: code that does not fit the instruction cache costs more than the loop.
__device__ void run_chain(float (&c)[4], const char* x_line, const char* w_line, int steps) {
  const uint32_t x = shared_address(x_line);
  const uint32_t w = shared_address(w_line);
  uint32_t a[4][4];
  uint32_t b[4][4];
  const auto read = [&](int to, int pair) {
    load_matrices_at(a[to], x + pair * 64);
    load_matrices_at(b[to], w + pair * 64);
  };
  const auto take = [&](int from, int half) {
    const uint32_t rows[4] = {a[from][2 * half], a[from][2 * half], a[from][2 * half + 1],
                              a[from][2 * half + 1]};
    step(c, rows, b[from][2 * half], b[from][2 * half + 1]);
  };
#pragma unroll
  for (int i = 0; i < 3; ++i) read(i, i);
  int pair = 0;
#pragma unroll 1
  for (; pair + 4 <= steps / 2; pair += 4) {
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      read((j + 3) % 4, pair + j + 3);
      take(j, 0);
      take(j, 1);
    }
  }
  const int left = steps - 2 * pair;
  if (left == 0) return;
  if (left > 6) read(3, pair + 3);
#pragma unroll
  for (int j = 0; j < 4; ++j) {
    if (2 * j < left) take(j, 0);
    if (2 * j + 1 < left) take(j, 1);
  }
}

template <int kMost, bool kObserved, typename Shape>
struct ProductThread : NormThread<kMost, kObserved, Shape> {
  using Base = NormThread<kMost, kObserved, Shape>;
  using Base::at, Base::embedded, Base::exchanges, Base::has_token, Base::lane, Base::memory,
      Base::observe, Base::observe_two, Base::p, Base::patience, Base::projection_of, Base::refresh,
      Base::release, Base::shared, Base::slot_line, Base::sync, Base::tid, Base::token_line,
      Base::wait_slot, Base::warp, Base::x_line;
  using Base::Base;
  using Base::hidden, Base::inner, Base::tokens;
  using typename Base::Projected;

  // Tiles of q k v, a warp each.
  __device__ void columns(int l, uint32_t tag) {
    refresh();
    const char* x = x_line();
    const int round = min(kDecodeWarps, at.slots);
    for (int first = 0; first < shared.shares.qkv.count; first += round) {
      if (first > 0) sync();  // see release()
      const int count = min(shared.shares.qkv.count - first, round);
      if (warp < count) {
        const int tile = shared.shares.qkv.first + (first + warp) * shared.shares.qkv.stride;
        const int slot = wait_slot(warp);
        float c[4] = {};
        run_chain(c, x, slot_line(slot), hidden() / 16);
        const uint32_t two = pack_bf16(c[0], c[1]);
        if (has_token()) {
          put_word(exchanges.of_qkv(l) + lane / 4 * exchanges.qkv + tile * 4 + lane % 4, two, tag);
          const Projected to = projection_of(l, tile);
          if (kObserved) observe_two(to.observed, to.width, to.tile * 8 + lane % 4 * 2, two);
        }
      }
      release(count);
    }
  }

  // Pairs of tiles: gate by a warp of the first eight, up by that eight further.
  __device__ void gated(int l, uint32_t tag) {
    refresh();
    const char* x = x_line();
    const int round = min(kDecodeWarps / 2, at.slots / 2);
    for (int first = 0; first < shared.shares.gate_up.count; first += round) {
      if (first > 0) sync();  // see release()
      const int count = min(shared.shares.gate_up.count - first, round);
      const int n = warp % 8;
      if (n < count) {
        const int slot = wait_slot(2 * n + warp / 8);
        float c[4] = {};
        run_chain(c, x, slot_line(slot), hidden() / 16);
        const int tile = shared.shares.gate_up.first + (first + n) * shared.shares.gate_up.stride;
        join_pair(l, n, tile, pack_bf16(c[0], c[1]), tag);
      }
      release(2 * count);
    }
  }
  __device__ void join_pair(int l, int n, int tile, uint32_t two, uint32_t tag) const {
    auto* other = reinterpret_cast<uint32_t*>(memory + at.parts) + n * 32 + lane;
    const DecodeOutputs& outputs = p.outputs[l];
    const int column = tile * 8 + lane % 4 * 2;
    if (warp >= 8) *other = two;
    if (kObserved && has_token()) {
      observe_two(warp < 8 ? outputs.gate : outputs.up, inner(), column, two);
    }
    sync_named(kSliceBarriers + n, 64);
    if (warp >= 8 || !has_token()) return;
    const uint32_t up = *other;
    const uint32_t product =
        pack_bf16(silu_mul(lower_of(two), lower_of(up)), silu_mul(upper_of(two), upper_of(up)));
    put_word(exchanges.of_product(l) + lane / 4 * exchanges.inner + column / 2, product, tag);
    if (kObserved) observe_two(outputs.product, inner(), column, product);
  }
  // silu_mul.h, before it is rounded.
  __device__ static float silu_mul(float gate, float up) {
    return round_to_bf16(gate / (1.0f + exp_f32(-gate))) * up;
  }

  // A slice of all tokens' activations, by the two warps that use it. A thread has every 64th group
  // of four.
  __device__ void gather_slice(const uint64_t* from, int width, int k, int slice, uint32_t tag) {
    constexpr int kBatch = kMost < 4 ? kMost : 4;
    const int fours = k / kDecodeSlices / 4;
    const int line = DecodeMemory::slice_line(k);
    const int own = warp / 8 * 32 + lane;
    char* to = memory + at.work + slice * tokens() * line;
    from += slice * fours * 2;
    for (int b = 0; b < tokens(); b += kBatch) {
      uint64_t words[2 * kBatch][2];
      const auto four = [&](int i) { return own + i % 2 * 64; };
      const auto is_wanted = [&](int i) { return b + i / 2 < tokens() && four(i) < fours; };
      wait_pairs(words, tag, patience, is_wanted,
                 [&](int i) { return from + (b + i / 2) * width + 2 * four(i); });
#pragma unroll
      for (int i = 0; i < 2 * kBatch; ++i) {
        if (!is_wanted(i)) continue;
        *reinterpret_cast<uint64_t*>(to + (b + i / 2) * line + four(i) * 8) =
            (words[i][0] & 0xffffffffu) | words[i][1] << 32;
      }
    }
    sync_named(kSliceBarriers + slice, 64);
  }

  struct RowsCall {
    TileShare share;
    int k;
    const uint64_t* from;  // activations
    int width;             // words of a token there
    const uint64_t* old;   // the residual stream; null: the embedding
    uint64_t* to;
    bool pauses;        // copies, while it waits
    uint16_t* rounded;  // observed
    uint16_t* sum;
  };
  // At most two tiles: eight slices, two warps each, one for either tile.
  __device__ void rows(const RowsCall& call, uint32_t tag) {
    refresh();
    const int slice = warp % 8;
    const int half = warp / 8;
    const SlotsOfSlices cut(call.k);
    const uint32_t before = residual_of(call);
    if (tid == 0 && call.pauses) shared.pause = 1;
    gather_slice(call.from, call.width, call.k, slice, tag);
    if (tid == 0 && call.pauses) shared.pause = 0;
    auto* parts = reinterpret_cast<float*>(memory + at.parts);
    if (half < call.share.count) {
      const int slot = wait_slot(half * cut.slots() + slice / cut.per_slot);
      const int line = DecodeMemory::slice_line(call.k);
      const char* x = token_line(memory + at.work + slice * tokens() * line, line);
      const char* w = slot_line(slot) + slice % cut.per_slot * cut.slice * 2;
      float c[4] = {};
      run_chain(c, x, w, cut.slice / 16);
      float* to = parts + ((half * 8 + slice) * kMost + lane / 4) * 8 + lane % 4 * 2;
      if (has_token()) *reinterpret_cast<float2*>(to) = float2{c[0], c[1]};
    }
    release(call.share.count * cut.slots());
    sync();
    join_rows(call, parts, before, tag);
  }
  // A thread joins the slices of a row of a tile, for a token.
  struct Joined {
    int tile;  // of the share
    int token;
    int row;
  };
  __device__ Joined joined() const { return {tid / (8 * kMost), tid / 8 % kMost, tid % 8}; }
  __device__ bool joins(const RowsCall& call) const {
    return joined().tile < call.share.count && joined().token < tokens();
  }
  __device__ int column_of(const RowsCall& call) const {
    return (call.share.first + joined().tile * call.share.stride) * 8 + joined().row;
  }
  // What this thread's sum is added to, read while there is time. It is there: the norm waited.
  __device__ uint32_t residual_of(const RowsCall& call) const {
    if (!joins(call)) return 0;
    const int column = column_of(call);
    const uint32_t two = call.old == nullptr
                             ? embedded(joined().token, column / 2)
                             : static_cast<uint32_t>(get_word(
                                   call.old + joined().token * exchanges.hidden + column / 2));
    return two >> (column % 2 * 16) & 0xffffu;
  }
  __device__ void join_rows(const RowsCall& call, const float* parts, uint32_t before,
                            uint32_t tag) const {
    if (tid / 32 * 32 >= call.share.count * 8 * kMost) return;
    const Joined own = joined();
    const float* from = parts + (min(own.tile, 1) * 8 * kMost + own.token) * 8 + own.row;
    const float sum = join_slices(8, [&](int64_t s) { return from[s * kMost * 8]; });
    const uint16_t rounded = f32_to_bf16(sum);
    const uint32_t mine =
        f32_to_bf16(bf16_to_f32(static_cast<uint16_t>(before)) + bf16_to_f32(rounded));
    const uint32_t next = __shfl_down_sync(0xffffffffu, mine, 1);
    if (!joins(call)) return;
    const int column = column_of(call);
    observe(call.rounded, own.token * hidden() + column, rounded);
    observe(call.sum, own.token * hidden() + column, static_cast<uint16_t>(mine));
    if (own.row % 2 != 0) return;
    put_word(call.to + own.token * exchanges.hidden + column / 2, mine | next << 16, tag);
  }
};

}  // namespace samebits::cuda
