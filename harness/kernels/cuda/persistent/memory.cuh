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

constexpr int kDecodeWarps = 16;  // that compute; one more copies
constexpr int kDecodeComputing = kDecodeWarps * 32;
constexpr int kDecodeThreads = kDecodeComputing + 32;
constexpr int kDecodeSlices = 8;

// A slot holds a tile's rows over at most kSlotDepth of k. Lines are 16 bytes longer, so that eight
// of them lie in different banks.
constexpr int kSlotDepth = 1024;
constexpr int kSlotLine = kSlotDepth * 2 + 16;
constexpr int kSlotBytes = kTileRows * kSlotLine;
constexpr int kMaxSlots = 13;
constexpr int kMemoryBytes = 227 * 1024 - 4096;  // of a block, beside what is declared

// Where things are, in bytes from the beginning of the block's dynamic memory.
struct DecodeMemory {
  int rope;   // floats [tokens, head_dim]: cosines, then sines
  int table;  // DecodeLayer [layers]
  int ring;   // slots; attention's memory begins here too
  int slots;  // that there are
  int work;   // normed x, then squares; or slices of activations
  int squares;
  int parts;  // floats [2 tiles, 8 slices, tokens, 8]; or a word for each lane of 8 pairs
  int bytes;  // in all

  static __host__ __device__ int x_line(int hidden) { return hidden * 2 + 16; }
  static __host__ __device__ int slice_line(int k) { return k / kDecodeSlices * 2 + 16; }
  static __host__ __device__ int squares_line(int hidden) { return hidden / 16 + 4; }  // floats

  // `most`: tokens that the kernel is built for.
  static DecodeMemory of(const PersistentStep& p, int most) {
    const auto up = [](int bytes) { return (bytes + 127) / 128 * 128; };
    DecodeMemory at{};
    at.rope = 0;
    at.table = up(most * p.head_dim * 4);
    at.ring = up(at.table + p.layers * static_cast<int>(sizeof(DecodeLayer)));
    const int squares = up(most * x_line(p.hidden));
    const int normed = squares + most * 16 * squares_line(p.hidden) * 4;
    const int attention = p.heads * p.head_dim;
    const int widest = p.inner > attention ? p.inner : attention;
    const int sliced = kDecodeSlices * most * slice_line(widest);
    const int work = up(normed > sliced ? normed : sliced);
    const int slices = 2 * kDecodeSlices * most * kTileRows * 4;
    const int pairs = kDecodeWarps / 2 * 32 * 4;
    const int parts = slices > pairs ? slices : pairs;
    at.slots = (kMemoryBytes - at.ring - work - parts) / kSlotBytes;
    if (at.slots > kMaxSlots) at.slots = kMaxSlots;
    at.work = at.ring + at.slots * kSlotBytes;
    at.squares = at.work + squares;
    at.parts = at.work + work;
    at.bytes = at.parts + parts;
    return at;
  }
};

// A product's k is cut into slots so that no slice crosses the end of one.
struct SlotsOfSlices {
  int slice;     // of k
  int per_slot;  // slices, a power of two

  __host__ __device__ explicit SlotsOfSlices(int k) : slice(k / kDecodeSlices) {
    per_slot = kDecodeSlices;
    while (per_slot * slice > kSlotDepth) per_slot /= 2;
  }
  __host__ __device__ int slots() const { return kDecodeSlices / per_slot; }
  __host__ __device__ int depth() const { return per_slot * slice; }  // elements of a slot
};

// Gives up on a wait that takes too long: everything after goes on with what is there, so that the
// kernel ends, and the host learns of the fault.
struct Patience {
  // How long a wait has taken so far.
  struct Wait {
    int looks = 0;
    int64_t since = 0;
  };

  int64_t cycles;
  Fault* fault;
  volatile int* is_over;  // in shared memory
  int place;              // layer * 8 + stage

  // Asked after each look; the clock takes time, too.
  __device__ bool ends(Wait& wait) const {
    if (++wait.looks % 16 != 0) return false;
    if (*is_over != 0) return true;
    const int64_t now = clock64();
    if (wait.since == 0) wait.since = now;
    if (now - wait.since < cycles) return false;
    *is_over = 1;
    raise(fault, FaultKind::kDecodeWait, place, static_cast<int>(blockIdx.x), cycles);
    return true;
  }
};

__device__ inline void wait_phase(uint64_t* barrier, int phase, const Patience& patience) {
  Patience::Wait wait;
  while (!is_phase_over(barrier, phase)) {
    if (patience.ends(wait)) return;
  }
}

// load_matrices() of mma.cuh, from addresses within shared memory: a pointer takes more to add to.
__device__ inline void load_matrices_at(uint32_t (&r)[4], uint32_t row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];\n"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(row));
}
__device__ inline void load_transposed_at(uint32_t (&r)[4], uint32_t row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];\n"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(row));
}

// A barrier of `threads` threads of a block.
__device__ inline void sync_named(int name, int threads) {
  asm volatile("bar.sync %0, %1;\n" ::"r"(name), "r"(threads) : "memory");
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
