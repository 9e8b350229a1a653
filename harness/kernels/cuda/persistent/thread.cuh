#pragma once

// What a thread of a persistent decode step works with, whatever its block does.

#include "harness/kernels/cuda/persistent/attention.cuh"

namespace samebits::cuda {

// Of a wait, for its fault.
enum Place {
  kQkvPlace,
  kAttentionPlace,
  kWoPlace,
  kGateUpPlace,
  kDownPlace,
  kHeadPlace,
  kRingPlace,
  kSamplePlace
};

// What the blocks of a step share of the work.
struct Shares {
  int processors;  // that do no attention
  TileShare qkv, wo, gate_up, down;
  SlotsOfSlices wo_cut, down_cut;

  __device__ void deal(const PersistentStep& p, int processor) {
    processors = kDecodeProcessors - attention_processors(p.tokens * p.kv_heads);
    const LayerTiles tiles{{(p.heads + 2 * p.kv_heads) * p.head_dim / kTileRows,
                            p.hidden / kTileRows, p.inner / kTileRows, p.hidden / kTileRows}};
    TileShare* const shares[] = {&qkv, &wo, &gate_up, &down};
    for (int i = 0; i < kLayerProducts; ++i) {
      const Deal deal = deal_of_step(tiles, i, p.tokens, p.kv_heads);
      *shares[i] = share_of(tiles.of[i], deal.offset, processor, deal.processors);
    }
    wo_cut = SlotsOfSlices::of(p.heads * p.head_dim);
    down_cut = SlotsOfSlices::of(p.inner);
  }
};

// What the threads of a block share, beside their dynamic memory.
template <int kMost>
struct DecodeShared {
  uint64_t full[kMaxSlots];
  uint64_t empty[kMaxSlots];
  uint64_t ring_is_free;  // of keys and values, after a layer's attention or after all
  Shares shares;
  int head_rows[kMost];  // the token whose row is taken
  AttentionUnit units[kMaxUnits];
  volatile int late;  // see Patience
};

// A thread of a block, and what it works with. kMost: tokens that fit.
template <int kMost, typename Shape>
struct DecodeThread : DecodeSizes<kMost, Shape> {
  using DecodeSizes<kMost, Shape>::p;
  const DecodePlan& plan;
  const DecodeMemory& at;
  const Exchanges& exchanges;
  DecodeShared<kMost>& shared;
  char* memory;
  Fault* fault;
  Patience patience;
  uint32_t first_tag;   // of layer 0
  uint32_t first_turn;  // likewise
  int tid, lane, warp;

  __device__ DecodeThread(const DecodePlan& plan, DecodeShared<kMost>& shared, char* memory,
                          uint32_t first_tag, uint32_t first_turn, Fault* fault)
      : DecodeSizes<kMost, Shape>{plan.step},
        plan(plan),
        at(plan.memory),
        exchanges(plan.exchanges),
        shared(shared),
        memory(memory),
        fault(fault),
        patience{p.patience, &shared.late, 0},
        first_tag(first_tag),
        first_turn(first_turn) {
    refresh();
  }

  // At the beginning of a stage: what it computes of its thread's place is not to be kept in
  // registers from one stage to the next.
  __device__ void refresh() {
    uint32_t thread = 0;
    asm volatile("mov.u32 %0, %%tid.x;\n" : "=r"(thread));
    __builtin_assume(thread < kDecodeThreads);  // divisions of what may be negative take longer
    tid = static_cast<int>(thread);
    lane = static_cast<int>(thread % 32);
    warp = static_cast<int>(thread / 32);
  }
  // Likewise an address.
  __device__ char* fresh(int offset) const {
    asm volatile("" : "+r"(offset));
    return memory + offset;
  }
  __device__ static void sync() { sync_named(1, kDecodeComputing); }
  __device__ const DecodeLayer& layer(int l) const {
    return reinterpret_cast<const DecodeLayer*>(memory + at.table)[l];
  }
  __device__ void set_place(int l, Place place) { patience.place = l * 8 + place; }
};

}  // namespace samebits::cuda
