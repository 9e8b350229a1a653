#pragma once

// The products of a persistent decode step (linear.h), tile by tile.

#include "harness/kernels/cuda/gemm/gemm.cuh"
#include "harness/kernels/cuda/persistent/norm.cuh"

namespace samebits::cuda {

constexpr int kMaxSlice = 512;     // of k, in elements
constexpr int kSliceBarriers = 2;  // named barriers from here on, one for each slice

// A chain over `steps` steps of k: tokens are the rows of the step, rows of weights its columns.
// Two steps of x are kXPair bytes further, those of weights 64; lanes 16 and up read the second of
// the two. Fragments of three pairs of steps are on their way. kEights: `steps` is a multiple of
// eight; otherwise what is behind the last step is read from it again. A short loop: code that does
// not fit the instruction cache costs more than the loop.
template <int kXPair, bool kEights>
__device__ void run_chain(float (&c)[4], uint32_t x, uint32_t w, int steps, int lane) {
  uint32_t a[4][4];
  uint32_t b[4][4];
  // Of this lane's, in halves of a pair.
  int last = lane < 16 ? (steps - 1) / 2 * 2 : steps == 1 ? -1 : steps / 2 * 2 - 2;
  const auto read = [&](int to, int pair) {
    const int half = kEights ? 2 * pair : min(2 * pair, last);
    load_matrices_at(a[to], x + half * (kXPair / 2));
    load_matrices_at(b[to], w + half * 32);
  };
  const auto take = [&](int from, int half) {
    const uint32_t rows[4] = {a[from][2 * half], a[from][2 * half], a[from][2 * half + 1],
                              a[from][2 * half + 1]};
    step(c, rows, b[from][2 * half], b[from][2 * half + 1]);
  };
#pragma unroll
  for (int i = 0; i < 3; ++i) read(i, i);
#pragma unroll 1
  for (; steps > 8; steps -= 8) {
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      read((j + 3) % 4, j + 3);
      take(j, 0);
      take(j, 1);
    }
    x += 4 * kXPair;
    w += 4 * 64;
    last -= 8;
  }
  if (steps > 6) read(3, 3);
#pragma unroll
  for (int j = 0; j < 4; ++j) {
    if (2 * j < steps) take(j, 0);
    if (2 * j + 1 < steps) take(j, 1);
  }
}

// The same by a warpgroup, 16 rows of weights a warp as rows of the step, eight tokens its columns,
// kChunk bytes between eights of k. `rows`: this lane's line for load_matrices. kBatch steps are a
// batch; while two are under way, the fragments of one to come are read. kSteps: 0, or
// as many as `steps`, which is a multiple of four.
template <int kChunk, int kBatch, int kSteps>
__device__ void run_warpgroup_chain(float (&c)[4], uint32_t x, uint32_t rows, int steps) {
  constexpr int kBuffers = kBatch == 2 ? 4 : 3;
  x = uniform(x);  // not by the caller, from where it would come in registers of each thread
  constexpr int kUnrolled = kSteps == 0 ? 1 : (kSteps / kBatch + kBuffers - 1) / kBuffers;
  const int batches = (kSteps == 0 ? steps : kSteps) / kBatch;
  uint32_t a[kBuffers][kBatch][4];
  const auto read = [&](uint32_t(&to)[kBatch][4], int batch) {
#pragma unroll
    for (int i = 0; i < kBatch; ++i) load_matrices_at(to[i], rows + (batch * kBatch + i) * 32);
  };
#pragma unroll
  for (int i = 0; i < kBuffers - 1; ++i) {
    if (i < batches) read(a[i], i);
  }
#pragma unroll kUnrolled
  for (int first = 0; first < batches; first += kBuffers) {
#pragma unroll
    for (int j = 0; j < kBuffers; ++j) {
      const int batch = first + j;
      if (batch >= batches) break;
      begin_steps();
#pragma unroll
      for (int i = 0; i < kBatch; ++i) {
        WarpgroupStep<8>::run(c, a[j][i], x + (batch * kBatch + i) * (2 * kChunk / 16));
      }
      commit_steps();
      wait_steps<1>();
      if (batch + kBuffers - 1 < batches) {
        read(a[(j + kBuffers - 1) % kBuffers], batch + kBuffers - 1);
      }
    }
  }
  wait_steps<0>();
  settle(c);
}

template <int kMost, bool kObserved, typename Shape>
struct ProductThread : NormThread<kMost, kObserved, Shape> {
  using Base = NormThread<kMost, kObserved, Shape>;
  using Base::at, Base::embedded, Base::exchanges, Base::has_token, Base::lane, Base::memory,
      Base::p, Base::patience, Base::projection_of, Base::refresh, Base::release, Base::shared,
      Base::slot_line, Base::sync, Base::tid, Base::token_line, Base::warp;
  using Base::Base;
  using Base::hidden, Base::inner, Base::tokens;
  using typename Base::Projected;

  // Whether each slice, and the hidden size, is a multiple of eight steps.
  static constexpr bool kEights = Shape::kHidden != 0 && Shape::kHidden % 128 == 0 &&
                                  Shape::kHeads * Shape::kHeadDim % 1024 == 0 &&
                                  Shape::kInner % 1024 == 0;
  // Steps of a batch: with one token there are registers for more.
  static constexpr int kBatch = kMost == 1 ? 4 : 2;

  // Tiles over all of k: of q, k and v, or pairs of gate and up. A warp has two of them, a pair if
  // there are pairs, and a warpgroup eight. What needs no x:
  struct Ready {
    uint32_t rows;    // this lane's line of two slots, as rows 0 to 15 of the step
    RingCursor slot;  // that the line is in; round -1: none
    bool has_tiles;   // else `rows` are of the first slot, and nobody wants what comes of them
    int tile;         // whose results this lane writes; -1: none
    int left;         // slots of the stage, from this round on
  };
  __device__ int round_of_slots() const { return min(2 * kDecodeWarps, at.slots / 2 * 2); }
  __device__ int column_slots(bool is_gated) const {
    return is_gated ? 2 * shared.shares.gate_up.count : shared.shares.qkv.count;
  }
  // Of the round that begins with slot `first` of the stage's. Where one tile is left, it is both.
  __device__ Ready ready_columns(bool is_gated, int first) {
    refresh();
    const int left = column_slots(is_gated) - first;
    const int count = min(left, round_of_slots());
    const bool has_tiles = 2 * warp < count;
    const int n = has_tiles ? min(2 * warp + lane / 8 % 2, count - 1) : 0;
    const RingCursor slot = count > 0 ? this->slot_of(n) : RingCursor{0, -1};
    const uint32_t rows = shared_address(memory + at.ring) + slot.slot * kSlotBytes +
                          lane % 8 * kSlotLine + lane / 16 * 16;
    const TileShare& share = is_gated ? shared.shares.gate_up : shared.shares.qkv;
    const int own = is_gated ? first / 2 + warp : first + 2 * warp + lane / 4 % 2;
    const bool has_own = has_tiles && own < share.count;
    return {rows, slot, has_tiles, has_own ? share.first + own * share.stride : -1, left};
  }
  // Until the weights that the warp's lanes look at are there.
  __device__ void wait_columns(const Ready& ready) const {
    if (ready.slot.round >= 0) this->wait(ready.slot);
    __syncwarp();
  }
  // With several tokens weights come while the block waits for those; with one they are there.
  static constexpr bool kWaitsFirst = kMost == 1;
  __device__ void columns(int l, bool is_gated, Ready ready, uint32_t tag) {
    constexpr int kChunk = DecodeMemory::chunk(kMost);
    if (!kWaitsFirst) wait_columns(ready);
    refresh();
    const int round = round_of_slots();
    const uint32_t x = chunk_descriptor(memory + at.work, kChunk);
#pragma unroll 1
    for (int first = 0;;) {
      const int count = min(ready.left, round);
      if (warp / 4 * 8 < count) {
        float c[4] = {};
        run_warpgroup_chain<kChunk, kBatch, Shape::kHidden / 16>(c, x, ready.rows, hidden() / 16);
        if (ready.has_tiles) is_gated ? put_gated(l, ready, c, tag) : put_columns(l, ready, c, tag);
      }
      release(max(count, 0));
      if (ready.left <= round) break;
      first += round;
      sync();  // see release()
      ready = ready_columns(is_gated, first);
      wait_columns(ready);
    }
  }

  // Results of two tiles: c[0] and c[1] of row lane / 4 of the first, tokens lane % 4 * 2 and the
  // next, c[2] and c[3] of the second. A word has two rows: a lane gets those of its pair of rows,
  // lanes of even rows for the first tile, of odd rows for the second.
  __device__ void put_columns(int l, const Ready& ready, const float (&c)[4], uint32_t tag) {
    const uint32_t first = pack_bf16(c[0], c[1]);
    const uint32_t second = pack_bf16(c[2], c[3]);
    const bool is_odd = lane / 4 % 2 != 0;
    const uint32_t other = __shfl_xor_sync(0xffffffffu, is_odd ? first : second, 4);
    const uint32_t lower = is_odd ? other : first;
    const uint32_t upper = is_odd ? second : other;
    if (ready.tile < 0) return;
    const uint32_t words[2] = {__byte_perm(lower, upper, 0x5410),
                               __byte_perm(lower, upper, 0x7632)};
    uint64_t* to = exchanges.of_qkv(l) + ready.tile * 4 + lane / 8;
#pragma unroll
    for (int e = 0; e < 2; ++e) {
      const int token = lane % 4 * 2 + e;
      if (e < kMost && token < tokens()) put_word(to + token * exchanges.qkv, words[e], tag);
    }
    if (kObserved) observe_columns(projection_of(l, ready.tile), words);
  }
  // What is observed is written behind what others wait for.
  __device__ void observe_columns(const Projected& seen, const uint32_t (&words)[2]) const {
#pragma unroll
    for (int e = 0; e < 2; ++e) {
      const int token = lane % 4 * 2 + e;
      if (token >= tokens()) continue;
      observe<kObserved>(seen.observed, token * seen.width + seen.tile * 8 + lane / 8 * 2,
                         words[e]);
    }
  }
  // The first tile is of gate, the second of up.
  __device__ void put_gated(int l, const Ready& ready, const float (&c)[4], uint32_t tag) {
    const uint32_t gate = pack_bf16(c[0], c[1]);
    const uint32_t up = pack_bf16(c[2], c[3]);
    const float product_of_first = silu_mul(lower_of(gate), lower_of(up));
    const uint32_t product = pack_bf16(
        product_of_first, kMost == 1 ? product_of_first : silu_mul(upper_of(gate), upper_of(up)));
    put_product(l, ready.tile, product, tag);
    if (kObserved) observe_gated(l, ready.tile * 8 + lane / 4, gate, up, product);
  }
  // A tile's, of row lane / 4, two tokens.
  __device__ void put_product(int l, int tile, uint32_t product, uint32_t tag) const {
    const uint32_t other = __shfl_xor_sync(0xffffffffu, product, 4);
    const int odd = lane / 4 % 2;
    const int token = lane % 4 * 2 + odd;
    const uint32_t two =
        odd == 0 ? __byte_perm(product, other, 0x5410) : __byte_perm(other, product, 0x7632);
    if (kMost == 1) {
      if (token == 0) put_word(exchanges.of_product(l) + tile * 4 + lane / 8, two, tag);
      return;
    }
    const uint32_t next_two = __shfl_down_sync(0xffffffffu, two, 8);
    if (lane / 8 % 2 != 0) return;
    const int place = word_of(token, tile * 8 + lane / 16 * 4);
    if (token < tokens())
      put_four(exchanges.product_fours(this->first_turn + l) + place, two, next_two);
    clear_four(exchanges.product_fours(this->first_turn + l + kClearedAhead) + place);
  }
  __device__ void observe_gated(int l, int column, uint32_t gate, uint32_t up,
                                uint32_t product) const {
    const DecodeOutputs& outputs = p.outputs[l];
    for (int e = 0; e < 2; ++e) {
      const int token = lane % 4 * 2 + e;
      if (token >= tokens()) continue;
      observe<kObserved>(outputs.gate, token * inner() + column,
                         static_cast<uint16_t>(gate >> 16 * e));
      observe<kObserved>(outputs.up, token * inner() + column, static_cast<uint16_t>(up >> 16 * e));
      observe<kObserved>(outputs.product, token * inner() + column,
                         static_cast<uint16_t>(product >> 16 * e));
    }
  }
  // silu_mul.h, before it is rounded.
  __device__ static float silu_mul(float gate, float up) {
    return bf16_to_f32(to_bf16(gate / (1.0f + exp_f32(-gate)))) * up;
  }

  // A slice of all tokens' activations, by the two warps that use it.
  __device__ void gather_slice(const uint64_t* from, int k, int slice, uint32_t tag) {
    const int elements = k / kDecodeSlices;
    const int own = warp / 8 * 32 + lane;
    char* to = memory + at.work + slice * tokens() * DecodeMemory::slice_line(k);
    if constexpr (kMost == 1) {
      gather_pairs(to, from + slice * elements / 2, elements, own, tag);
    } else {
      gather_fours(to, from + word_of(0, slice * elements), elements, own);
    }
    sync_named(kSliceBarriers + slice, 64);
  }
  // Of one token: a thread has every 64th group of four.
  __device__ void gather_pairs(char* to, const uint64_t* from, int elements, int own,
                               uint32_t tag) const {
    uint64_t words[2][2];
    const auto is_wanted = [&](int i) { return (own + i * 64) * 4 < elements; };
    wait_pairs(
        words, patience, [&](uint64_t word) { return has_tag(word, tag); }, is_wanted,
        [&](int i) { return from + (own + i * 64) * 2; });
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      if (!is_wanted(i)) continue;
      *reinterpret_cast<uint64_t*>(to + (own + i * 64) * 8) =
          (words[i][0] & 0xffffffffu) | words[i][1] << 32;
    }
  }
  // Of several: a thread has a token's every eighth eight.
  __device__ void gather_fours(char* to, const uint64_t* from, int elements, int own) const {
    constexpr int kEights = kMaxSlice / 64;
    const int token = own % kDecodeTokens;
    const int first = own / kDecodeTokens;
    const int eights = token < tokens() ? elements / 8 : 0;
    uint64_t words[kEights][2];
    const auto is_wanted = [&](int i) { return first + i * 8 < eights; };
    from += word_of(token, first * 8);
    wait_pairs(
        words, patience, [](uint64_t word) { return word != 0; }, is_wanted,
        [&](int i) { return from + word_of(0, i * 64); });
    to += token * (elements * 2 + 16) + first * 16;
#pragma unroll
    for (int i = 0; i < kEights; ++i) {
      if (!is_wanted(i)) continue;
      *reinterpret_cast<ulonglong2*>(to + i * 128) = {~words[i][0], ~words[i][1]};
    }
  }

  struct RowsCall {
    TileShare share;
    SlotsOfSlices cut;
    const uint64_t* from;  // activations
    const uint64_t* old;   // the residual stream; null: the embedding
    uint64_t* to;
    uint64_t* later;    // what is cleared: with several tokens
    uint16_t* rounded;  // observed
    uint16_t* sum;
  };
  // At most two tiles: eight slices, two warps each, one for either tile. What needs no activations
  // is found before they are waited for.
  __device__ void rows(const RowsCall& call, uint32_t tag) {
    refresh();
    const int slice = warp % 8;
    const int half = warp / 8;
    const SlotsOfSlices& cut = call.cut;
    const int k = cut.slice * kDecodeSlices;
    const int line = DecodeMemory::slice_line(k);
    const Sum own = sum_of(call);
    const uint32_t x = token_line(memory + at.work + slice * tokens() * line, line);
    const bool has_tile = half < call.share.count;
    const RingCursor slot =
        has_tile ? this->slot_of(half * cut.slots() + cut.slot_of(slice)) : RingCursor{};
    const uint32_t w = slot_line(slot.slot) + cut.within(slice) * cut.slice * 2;
    if (kWaitsFirst && has_tile) this->wait(slot);
    gather_slice(call.from, k, slice, tag);
    if (has_tile) {
      if (!kWaitsFirst) this->wait(slot);
      float c[4] = {};
      run_chain<64, kEights>(c, x, w, cut.slice / 16, lane);
      if (has_token()) {
        *reinterpret_cast<float2*>(parts() + ((half * 8 + slice) * kMost + lane / 4) * 8 +
                                   lane % 4 * 2) = float2{c[0], c[1]};
      }
    }
    sync();
    join_rows(call, own, tag);
    release(call.share.count * cut.slots());
    if (kMost > 1) sync();  // looks for the next words would hold up those who join
  }
  __device__ float* parts() const { return reinterpret_cast<float*>(memory + at.parts); }

  // A thread joins the slices of a row of a tile, for a token.
  struct Sum {
    int column;  // of the residual stream; -1: none
    int token;
    uint32_t before;  // what is added to
  };
  __device__ Sum sum_of(const RowsCall& call) const {
    const int tile = tid / (8 * kMost);
    const int token = tid / 8 % kMost;
    if (tile >= call.share.count) return {-1, token, 0};
    const int column = (call.share.first + tile * call.share.stride) * 8 + tid % 8;
    if (token >= tokens()) return {column, token, 0};
    // Read while there is time. It is there: the norm waited.
    if (kMost > 1 && call.old != nullptr) {
      const uint64_t four = ~get_word(call.old + word_of(token, column));
      return {column, token, static_cast<uint32_t>(four >> (column % 4 * 16)) & 0xffffu};
    }
    const uint32_t two = call.old == nullptr
                             ? embedded(token, column / 2)
                             : static_cast<uint32_t>(get_word(call.old + column / 2));
    return {column, token, two >> (column % 2 * 16) & 0xffffu};
  }
  __device__ void join_rows(const RowsCall& call, const Sum& own, uint32_t tag) const {
    if (tid / 32 * 32 >= call.share.count * 8 * kMost) return;
    const float* from = parts() + min(tid / (8 * kMost), 1) * 64 * kMost + tid % (8 * kMost);
    const float sum = join_slices(8, [&](int64_t s) { return from[s * kMost * 8]; });
    const uint32_t rounded = pack_bf16(sum, sum) & 0xffffu;
    const float after = lower_of(own.before) + lower_of(rounded);
    const float next = __shfl_down_sync(0xffffffffu, after, 1);
    const uint32_t two = pack_bf16(after, next);
    const uint32_t next_two = __shfl_down_sync(0xffffffffu, two, 2);
    if (own.column < 0) return;
    if constexpr (kMost == 1) {
      if (own.column % 2 == 0) put_word(call.to + own.column / 2, two, tag);
    } else if (own.column % 4 == 0) {
      const int place = word_of(own.token, own.column);
      if (own.token < tokens()) put_four(call.to + place, two, next_two);
      clear_four(call.later + place);
    }
    if (own.token >= tokens()) return;
    const int64_t seen = own.token * hidden() + own.column;
    observe<kObserved>(call.rounded, seen, static_cast<uint16_t>(rounded));
    observe<kObserved>(call.sum, seen, static_cast<uint16_t>(two));
  }
};

}  // namespace samebits::cuda
