#pragma once

// How weights get to the warps of a persistent decode step: through a ring of slots.

#include "harness/kernels/cuda/persistent/thread.cuh"

namespace samebits::cuda {

constexpr int kInFlight = 4;  // slots that a block has on their way at most

// A place in the ring, counted without divisions.
struct RingCursor {
  int slot = 0;
  int round = 0;  // times that the ring was gone through

  // `n` slots further, or back; fewer than there are.
  __device__ RingCursor moved(int n, int slots) const {
    RingCursor to{slot + n, round};
    if (to.slot >= slots) to = {to.slot - slots, round + 1};
    if (to.slot < 0) to = {to.slot + slots, round - 1};
    return to;
  }
};

// The ring, for the warp that fills it and for those that use it: both go through the same slots in
// the same order.
template <int kMost, typename Shape>
struct RingThread : DecodeThread<kMost, Shape> {
  using Base = DecodeThread<kMost, Shape>;
  using Base::at, Base::lane, Base::layer, Base::memory, Base::p, Base::patience, Base::shared;
  using Base::Base;
  using Base::head_dim, Base::heads, Base::hidden, Base::inner, Base::kv_heads;
  RingCursor next;  // slot to be filled, or to be used

  // ---- the copying warp ----
  // Lines of a tile, `depth` elements each, `stride` apart.
  __device__ void produce(const uint16_t* rows, int64_t stride, int depth) {
    const int slot = next.slot;
    if (next.round > 0) wait_phase(&shared.empty[slot], next.round - 1, patience);
    Patience::Wait wait;
    while (shared.pause != 0 && !patience.ends(wait)) {
    }
    const RingCursor before = next.moved(-kInFlight, at.slots);
    if (before.round >= 0) wait_phase(&shared.full[before.slot], before.round, patience);
    if (lane == 0)
      arrive_expecting(&shared.full[slot], static_cast<uint32_t>(kTileRows * depth * 2));
    __syncwarp();
    if (lane < kTileRows) {
      copy_once(memory + at.ring + slot * kSlotBytes + lane * kSlotLine, rows + lane * stride,
                static_cast<uint32_t>(depth * 2), &shared.full[slot]);
    }
    next = next.moved(1, at.slots);
  }
  __device__ void produce_columns(const uint16_t* weight, int tile) {
    produce(weight + int64_t{tile} * kTileRows * hidden(), hidden(), hidden());
  }
  __device__ void produce_rows(const uint16_t* weight, const TileShare& share, int k) {
    const SlotsOfSlices cut(k);
    for (int n = 0; n < share.count; ++n) {
      const uint16_t* tile = weight + int64_t{share.first + n * share.stride} * kTileRows * k;
      for (int s = 0; s < cut.slots(); ++s) {
        produce(tile + s * cut.depth(), k, cut.depth());
      }
    }
  }

  // Which projection a tile of q k v belongs to: its weight, where its values go, and its first
  // row there.
  struct Projected {
    const uint16_t* weight;
    uint16_t* observed;
    int width;
    int tile;
  };
  __device__ Projected projection_of(int l, int tile) const {
    const DecodeLayer& weights = layer(l);
    const DecodeOutputs& outputs = p.outputs[l];
    const int q = heads() * head_dim();
    const int k = kv_heads() * head_dim();
    if (tile < q / kTileRows) return {weights.wq, outputs.q, q, tile};
    tile -= q / kTileRows;
    if (tile < k / kTileRows) return {weights.wk, outputs.k, k, tile};
    return {weights.wv, outputs.v, k, tile - k / kTileRows};
  }

  __device__ void produce_layer(int l) {
    for (int n = 0; n < shared.shares.qkv.count; ++n) {
      const Projected to = projection_of(l, shared.shares.qkv.first + n * shared.shares.qkv.stride);
      produce_columns(to.weight, to.tile);
    }
    produce_rows(layer(l).wo, shared.shares.wo, heads() * head_dim());
    for (int n = 0; n < shared.shares.gate_up.count; ++n) {
      const int tile = shared.shares.gate_up.first + n * shared.shares.gate_up.stride;
      produce_columns(layer(l).gate, tile);
      produce_columns(layer(l).up, tile);
    }
    produce_rows(layer(l).down, shared.shares.down, inner());
  }
  __device__ void produce_head() {
    for (int t = static_cast<int>(blockIdx.x); t < p.head_rows / kTileRows;
         t += kDecodeProcessors) {
      produce_columns(p.head, t);
    }
  }

  // ---- slots, for those who compute ----
  // Of those to come, the n-th; when its weights are there.
  __device__ int wait_slot(int n) const {
    const RingCursor cursor = next.moved(n, at.slots);
    wait_phase(&shared.full[cursor.slot], cursor.round, patience);
    return cursor.slot;
  }
  // This lane's line of a slot, for load_matrices.
  __device__ const char* slot_line(int slot) const {
    return memory + at.ring + slot * kSlotBytes + lane % 8 * kSlotLine + lane / 8 * 16;
  }
  // By every warp that computes, also one that has not used them: a block's barrier must stand
  // between two calls, or it could free a slot's next use while another is at work on this one.
  __device__ void release(int count) {
    __syncwarp();
    if (lane < count) arrive(&shared.empty[next.moved(lane, at.slots).slot]);
    next = next.moved(count, at.slots);
  }
};

}  // namespace samebits::cuda
