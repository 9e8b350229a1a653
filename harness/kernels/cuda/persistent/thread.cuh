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
  kRingPlace
};

// What the blocks of a step share of the work.
struct Shares {
  int processors;  // that have tiles of a layer
  TileShare qkv, wo, gate_up, down;

  __device__ void deal(const PersistentStep& p, int processor) {
    processors = kDecodeProcessors - attention_processors(p.tokens * p.kv_heads);
    int offset = 0;
    const auto next = [&](int rows) {
      const int tiles = rows / kTileRows;
      const TileShare share = share_of(tiles, offset, processor, processors);
      offset += tiles;
      return share;
    };
    qkv = next((p.heads + 2 * p.kv_heads) * p.head_dim);
    wo = next(p.hidden);
    gate_up = next(p.inner);
    down = next(p.hidden);
  }
};

// What the threads of a block share, beside their dynamic memory.
template <int kMost>
struct DecodeShared {
  uint64_t full[kMaxSlots];
  uint64_t empty[kMaxSlots];
  Shares shares;
  float inverse[kMost];  // of the root mean squares
  int head_rows[kMost];  // the token whose row is taken
  AttentionUnit units[kMaxUnits];
  volatile int pause;    // no copies begin
  volatile int is_over;  // a wait took too long
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
  Patience patience;
  uint32_t first_tag;  // of layer 0
  int tid, lane, warp;

  __device__ DecodeThread(const DecodePlan& plan, DecodeShared<kMost>& shared, char* memory,
                          uint32_t first_tag, Fault* fault)
      : DecodeSizes<kMost, Shape>{plan.step},
        plan(plan),
        at(plan.memory),
        exchanges(plan.exchanges),
        shared(shared),
        memory(memory),
        patience{p.patience, fault, &shared.is_over, 0},
        first_tag(first_tag) {
    refresh();
  }

  // At the beginning of a stage: what it computes of its thread's place is not to be kept in
  // registers from one stage to the next.
  __device__ void refresh() {
    asm volatile("mov.u32 %0, %%tid.x;\n" : "=r"(tid));
    lane = tid % 32;
    warp = tid / 32;
  }
  __device__ static void sync() { sync_named(1, kDecodeComputing); }
  __device__ const DecodeLayer& layer(int l) const {
    return reinterpret_cast<const DecodeLayer*>(memory + at.table)[l];
  }
  __device__ void set_place(int l, Place place) { patience.place = l * 8 + place; }
};

}  // namespace samebits::cuda
