#pragma once

// How weights get to the warps of a persistent decode step: through a ring of slots.

#include "harness/kernels/cuda/persistent/thread.cuh"

namespace samebits::cuda {

constexpr int kSlotsAtOnce = 32 / kTileRows;  // that are filled, eight lanes each

// A place in the ring, counted without divisions.
struct RingCursor {
  int slot = 0;
  int round = 0;  // times that the ring was gone through

  // `n` slots further, or back; fewer than there are.
  __device__ RingCursor moved(int n, int slots) const {
    return slot + n < slots ? RingCursor{slot + n, round} : RingCursor{slot + n - slots, round + 1};
  }
  __device__ RingCursor moved_back(int n, int slots) const {
    return slot >= n ? RingCursor{slot - n, round} : RingCursor{slot - n + slots, round - 1};
  }
};

// The ring, for the warp that fills it and for those that use it: both go through the same slots in
// the same order.
template <int kMost, typename Shape>
struct RingThread : DecodeThread<kMost, Shape> {
  using Base = DecodeThread<kMost, Shape>;
  using Base::at, Base::lane, Base::memory, Base::p, Base::patience, Base::shared;
  using Base::Base;
  using Base::head_dim, Base::heads, Base::hidden, Base::inner, Base::kv_heads;
  static constexpr bool kSharesRing = attention_has_tiles(kMost);
  static constexpr int kInFlight = kMost == 1 ? 4 : 7;  // slots on their way at most
  RingCursor next;                                      // slot to be filled, or to be used

  // Which projection a tile of q k v belongs to: its weight, where its values go, and its first
  // row there.
  struct Projected {
    const uint16_t* weight;
    uint16_t* observed;
    int width;
    int tile;
  };
  __device__ Projected projection_of(int l, int tile) const {
    const DecodeLayer& weights = p.layer[l];
    const DecodeOutputs& outputs = p.outputs[l];
    const int q = heads() * head_dim();
    const int k = kv_heads() * head_dim();
    if (tile < q / kTileRows) return {weights.wq, outputs.q, q, tile};
    tile -= q / kTileRows;
    if (tile < k / kTileRows) return {weights.wk, outputs.k, k, tile};
    return {weights.wv, outputs.v, k, tile - k / kTileRows};
  }

  // ---- the copying warp ----
  // What goes into a slot: lines of a tile, `depth` elements each, `stride` apart.
  struct Load {
    const uint16_t* rows;
    int stride;
    int depth;
  };
  __device__ Load columns_of(const uint16_t* weight, int tile) const {
    return {weight + int64_t{tile} * kTileRows * hidden(), hidden(), hidden()};
  }
  // The n-th slot of a block's tiles, of which it has two at most.
  __device__ Load rows_of(const uint16_t* weight, const TileShare& share, const SlotsOfSlices& cut,
                          int n) const {
    const int k = cut.slice * kDecodeSlices;
    const bool is_second = n >= cut.slots();
    const int tile = share.first + (is_second ? share.stride : 0);
    const int slot = is_second ? n - cut.slots() : n;
    return {weight + int64_t{tile} * kTileRows * k + slot * cut.depth(), k, cut.depth()};
  }
  __device__ int slots_of_layer() const {
    const Shares& own = shared.shares;
    return own.qkv.count + own.wo.count * own.wo_cut.slots() + 2 * own.gate_up.count +
           own.down.count * own.down_cut.slots();
  }
  // The n-th of a layer, in the order of their use.
  __device__ Load load_of_layer(int l, int n) const {
    const Shares& own = shared.shares;
    const DecodeLayer& weights = p.layer[l];  // the block's copy may not be there yet
    if (n < own.qkv.count) {
      const Projected to = projection_of(l, own.qkv.first + n * own.qkv.stride);
      return columns_of(to.weight, to.tile);
    }
    n -= own.qkv.count;
    const int wo = own.wo.count * own.wo_cut.slots();
    if (n < wo) return rows_of(weights.wo, own.wo, own.wo_cut, n);
    n -= wo;
    if (n < 2 * own.gate_up.count) {
      const int tile = own.gate_up.first + n / 2 * own.gate_up.stride;
      return columns_of(n % 2 == 0 ? weights.gate : weights.up, tile);
    }
    return rows_of(weights.down, own.down, own.down_cut, n - 2 * own.gate_up.count);
  }

  // All weights of a block and its tiles of the head. Attention's blocks wait for their keys and
  // values to leave the ring's memory: in each layer, or once where they have tiles of none.
  __device__ void produce(bool is_attention) {
    const int first_layer = is_attention && !kSharesRing ? p.layers : 0;
    const int in_layer = slots_of_layer();
    const int first_tile = static_cast<int>(blockIdx.x);
    const int in_head =
        (p.head_rows / kTileRows - first_tile + kDecodeProcessors - 1) / kDecodeProcessors;
#pragma unroll 1
    for (int l = first_layer; l <= p.layers; ++l) {
      const int count = l < p.layers ? in_layer : in_head;
      if (is_attention && (l < p.layers || !kSharesRing)) {
        wait_phase(&shared.ring_is_free, l - first_layer, patience);
      }
#pragma unroll 1
      for (int n = 0; n < count;) {
        const int own = n + lane / kTileRows;
        const int many = free_slots(count - n);
        const Load load = l == p.layers ? columns_of(p.head, first_tile + own * kDecodeProcessors)
                                        : load_of_layer(l, min(own, count - 1));
        fill_slots(load, many);
        n += many;
      }
    }
  }
  // How many of the next slots may be filled, one at least, of at most `most`: each when the one
  // before it in the ring is empty and the one kInFlight before it is there. Eight lanes look at
  // each.
  __device__ int free_slots(int most) const {
    const int own = lane / kTileRows;
    const RingCursor slot = next.moved(own, at.slots);
    const RingCursor before = slot.moved_back(kInFlight, at.slots);
    Patience::Wait wait;
    for (;;) {
      const bool is_free =
          own < most &&
          (slot.round == 0 || has_phase_ended(&shared.empty[slot.slot], slot.round - 1)) &&
          (before.round < 0 || has_phase_ended(&shared.full[before.slot], before.round));
      const uint32_t busy = ~__ballot_sync(0xffffffffu, is_free);
      const int many = busy == 0 ? kSlotsAtOnce : (__ffs(static_cast<int>(busy)) - 1) / kTileRows;
      if (many > 0) return many;
      if (__any_sync(0xffffffffu, patience.ends(wait))) return 1;
    }
  }
  // `many` slots, eight lanes one of them.
  __device__ void fill_slots(const Load& load, int many) {
    const int own = lane / kTileRows;
    const int row = lane % kTileRows;
    const int slot = next.moved(own, at.slots).slot;
    if (row == 0 && own < many) {
      arrive_expecting(&shared.full[slot], static_cast<uint32_t>(kTileRows * load.depth * 2));
    }
    __syncwarp();
    if (own < many) {
      copy_once(memory + at.ring + slot * kSlotBytes + row * kSlotLine,
                load.rows + int64_t{row} * load.stride, static_cast<uint32_t>(load.depth * 2),
                &shared.full[slot]);
    }
    next = next.moved(many, at.slots);
  }

  // ---- slots, for those who compute ----
  // Of those to come, the n-th; wait() ends when its weights are there.
  __device__ RingCursor slot_of(int n) const { return next.moved(n, at.slots); }
  __device__ void wait(const RingCursor& cursor) const {
    wait_phase(&shared.full[cursor.slot], cursor.round, patience);
  }
  // This lane's line of a slot, for load_matrices.
  __device__ uint32_t slot_line(int slot) const {
    return shared_address(memory + at.ring) + slot * kSlotBytes + lane % 8 * kSlotLine +
           lane / 8 * 16;
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
