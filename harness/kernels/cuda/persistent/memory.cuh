#pragma once

// The shared memory of a persistent decode step, and its barriers: a ring of slots for weights, in
// the order in which they are used, and room for activations.

#include "harness/kernels/cuda/persistent/persistent.h"
#include "harness/kernels/cuda/runtime/device.cuh"
#include "harness/kernels/cuda/runtime/tma.cuh"
#include "harness/kernels/decode_tiles.h"

namespace samebits::cuda {

// Sizes that a kernel is built for; 0: as the step says.
struct AnyShape {
  static constexpr int kHidden = 0, kHeads = 0, kKvHeads = 0, kHeadDim = 0, kInner = 0;
};
struct Qwen3Of600Million {
  static constexpr int kHidden = 1024, kHeads = 16, kKvHeads = 8, kHeadDim = 128, kInner = 3072;
};

// kMost: tokens that fit.
template <int kMost, typename Shape>
struct DecodeSizes {
  const PersistentStep& p;

  __device__ int tokens() const { return kMost == 1 ? 1 : p.tokens; }
  __device__ int hidden() const { return Shape::kHidden ? Shape::kHidden : p.hidden; }
  __device__ int heads() const { return Shape::kHeads ? Shape::kHeads : p.heads; }
  __device__ int kv_heads() const { return Shape::kKvHeads ? Shape::kKvHeads : p.kv_heads; }
  __device__ int head_dim() const { return Shape::kHeadDim ? Shape::kHeadDim : p.head_dim; }
  __device__ int inner() const { return Shape::kInner ? Shape::kInner : p.inner; }
  __device__ int group() const { return heads() / kv_heads(); }
};

// Leaves one, two or eight neighbouring values where they are observed. The index is a multiple of
// their number.
template <bool kObserved, typename Values>
__device__ void observe(uint16_t* to, int64_t index, const Values& values) {
  if (kObserved && to != nullptr) *reinterpret_cast<Values*>(to + index) = values;
}

constexpr int kDecodeWarps = 16;  // that compute; one more copies
constexpr int kDecodeComputing = kDecodeWarps * 32;
constexpr int kDecodeThreads =
    kDecodeComputing + 128;  // a whole warpgroup with the one that copies
// Of each thread. The whole is what the threads of a block have at most, 96 each.
constexpr int kComputingRegisters = 112;
constexpr int kCopyingRegisters = 32;
constexpr int kDecodeSlices = 8;

// A slot holds a tile's rows over at most kSlotDepth of k. Lines are 16 bytes longer, so that eight
// of them lie in different banks.
constexpr int kSlotDepth = 1024;
constexpr int kSlotLine = kSlotDepth * 2 + 16;
constexpr int kSlotBytes = kTileRows * kSlotLine;
constexpr int kMaxSlots = 13;
constexpr int kMemoryBytes = 227 * 1024 - 1536;  // of a block, beside what is declared

// Floats of a lane's terms of a sum over the vocabulary; a little more, for the banks.
__host__ __device__ inline int terms_line(int64_t vocab) {
  return static_cast<int>((vocab + kSoftmaxLanes * 4 - 1) / (kSoftmaxLanes * 4)) * 4 + 4;
}

// Where things are, in bytes from the beginning of the block's dynamic memory.
struct DecodeMemory {
  int rope;   // floats [tokens, head_dim]: cosines, then sines
  int table;  // DecodeLayer [layers]
  int norm;   // bf16 [hidden]: the weight of the next norm
  int ring;   // slots; attention's memory begins here too
  int slots;  // that there are
  int work;   // squares of x, then x normed, then slices of activations
  int parts;  // floats [2 tiles, 8 slices, tokens, 8]
  int bytes;  // in all

  // Bytes between one eight of k and the next of normed x, as the warpgroup's step reads it: eight
  // tokens, 16 bytes each, and a little more, so that the next eight of k lie in other banks. One
  // token alone is as it is: what follows it stands for tokens that are not there.
  static __host__ __device__ constexpr int chunk(int most) { return most == 1 ? 16 : 144; }
  static __host__ __device__ int x_bytes(int hidden, int most) { return hidden / 8 * chunk(most); }
  static __host__ __device__ int slice_line(int k) { return k / kDecodeSlices * 2 + 16; }
  static __host__ __device__ int squares_line(int hidden) { return hidden / 16 + 4; }  // floats
  // Of 16 lines; a little more, so that the next token's lie in other banks.
  static __host__ __device__ int squares_of_token(int hidden) {
    return 16 * squares_line(hidden) + 4;
  }

  // `most`: tokens that the kernel is built for.
  static DecodeMemory of(const PersistentStep& p, int most) {
    const auto up = [](int bytes) { return (bytes + 127) / 128 * 128; };
    DecodeMemory at{};
    at.rope = 0;
    at.table = up(most * p.head_dim * 4);
    at.norm = up(at.table + p.layers * static_cast<int>(sizeof(DecodeLayer)));
    at.ring = up(at.norm + p.hidden * 2);
    const int squares = most * squares_of_token(p.hidden) * 4;
    const int x = x_bytes(p.hidden, most);
    const int normed = squares > x ? squares : x;
    const int attention = p.heads * p.head_dim;
    const int widest = p.inner > attention ? p.inner : attention;
    const int sliced = kDecodeSlices * most * slice_line(widest);
    const int work = up(normed > sliced ? normed : sliced);
    const int parts = 2 * kDecodeSlices * most * kTileRows * 4;
    at.slots = (kMemoryBytes - at.ring - work - parts) / kSlotBytes;
    if (at.slots > kMaxSlots) at.slots = kMaxSlots;
    at.work = at.ring + at.slots * kSlotBytes;
    at.parts = at.work + work;
    at.bytes = at.parts + parts;
    return at;
  }
};

// A product's k is cut into slots so that no slice crosses the end of one.
struct SlotsOfSlices {
  int slice;  // of k
  int shift;  // a slot has 1 << shift slices

  __host__ __device__ static SlotsOfSlices of(int k) {
    SlotsOfSlices cut{k / kDecodeSlices, 3};
    while (cut.slice << cut.shift > kSlotDepth) --cut.shift;
    return cut;
  }
  __host__ __device__ int slots() const { return kDecodeSlices >> shift; }
  __host__ __device__ int depth() const { return slice << shift; }  // elements of a slot
  // The slot of a slice, and its place there.
  __host__ __device__ int slot_of(int s) const { return s >> shift; }
  __host__ __device__ int within(int s) const { return s & ((1 << shift) - 1); }
};

// Gives up on a wait that takes too long: everything after goes on with what is there, so that the
// kernel ends, and the block then raises a fault.
struct Patience {
  // How long a wait has taken so far.
  struct Wait {
    int looks = 0;
    int64_t since = 0;
  };

  int64_t cycles;
  volatile int* late;  // in shared memory: 0, or 1 and the first place that waited too long
  int place;           // layer * 8 + stage

  // Asked after each look; the clock takes time, too. Raises nothing itself: it stands in every
  // wait, and code that does not fit the instruction cache is paid for by all.
  __device__ bool ends(Wait& wait) const {
    if (++wait.looks % 16 != 0) return false;
    if (*late != 0) return true;
    const int64_t now = clock64();
    if (wait.since == 0) wait.since = now;
    if (now - wait.since < cycles) return false;
    *late = 1 + place;
    return true;
  }
};

__device__ inline void wait_phase(uint64_t* barrier, int phase, const Patience& patience) {
  Patience::Wait wait;
  while (!is_phase_over(barrier, phase)) {
    if (patience.ends(wait)) return;
  }
}

// `bytes` (a multiple of 16) of what is read once: others' lines stay in the L2.
__device__ inline void copy_once(void* to, const void* from, uint32_t bytes, uint64_t* barrier) {
  uint64_t policy = 0;
  asm volatile("createpolicy.fractional.L2::evict_first.b64 %0, 1.0;\n" : "=l"(policy));
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint [%0], [%1],"
      " %2, [%3], %4;\n" ::"r"(shared_address(to)),
      "l"(from), "r"(bytes), "r"(shared_address(barrier)), "l"(policy)
      : "memory");
}

}  // namespace samebits::cuda
