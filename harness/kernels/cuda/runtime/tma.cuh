#pragma once

// Boxes of a matrix, brought into shared memory by the card's copy engine (TMA): one instruction by
// one thread, and a barrier that counts the bytes that have arrived. PTX ISA, "Tensor copies" and
// "mbarrier".

#include <cuda.h>
#include <cuda_runtime.h>
#include <stdint.h>

#include "harness/kernels/cuda/runtime/mma.cuh"

namespace samebits::cuda {

// A bf16 matrix in slices: element (column, line, slice) is at line * line_stride + slice *
// slice_stride + column. What a box has past the end of any of the three is zero.
struct BoxedMatrix {
  const void* data;  // aligned to 16 bytes
  int64_t columns;
  int64_t lines;
  int64_t slices;
  int64_t line_stride;   // elements, a multiple of 8
  int64_t slice_stride;  // likewise, where there are several
};

// A box has 64 columns, `box_lines` lines and `box_slices` slices (at most 256 of each), and lies
// in shared memory, aligned to 1024 bytes, as lines of 128 bytes, [slice][line]; box_chunk() finds
// its elements. Throws where the driver refuses (checks.h).
CUtensorMap map_boxes(const BoxedMatrix& x, int64_t box_lines, int64_t box_slices);

constexpr int kBoxDepth = 64;
constexpr int kBoxLine = 128;  // bytes

// Eight elements, `chunk` of the eight of a line. The engine permutes the chunks of eight
// neighbouring lines, so that one chunk of all of them lies in different banks.
__device__ inline char* box_chunk(char* box, int line, int chunk) {
  return box + line * kBoxLine + ((chunk ^ (line & 7)) << 4);
}

// Brings the map to the engine before it is needed: otherwise the first box waits for it.
__device__ inline void prefetch_map(const CUtensorMap& map) {
  asm volatile("prefetch.tensormap [%0];\n" ::"l"(&map) : "memory");
}

// The box whose first element is that of `column`, `line` and `slice`.
__device__ inline void load_box(void* to, const CUtensorMap& map, int column, int line, int slice,
                                uint64_t* barrier) {
  asm volatile(
      "cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%2, "
      "%3, %4}], [%5];\n" ::"r"(shared_address(to)),
      "l"(&map), "r"(column), "r"(line), "r"(slice), "r"(shared_address(barrier))
      : "memory");
}

// ---- Barriers, in shared memory ----------------------------------------------------------------
// A phase ends when `count` threads have arrived and all expected bytes with them.
__device__ inline void init_barrier(uint64_t* barrier, int count) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;\n" ::"r"(shared_address(barrier)),
               "r"(count));
}
// By the thread that initialised, before others learn of the barriers.
__device__ inline void publish_barriers() {
  asm volatile("fence.mbarrier_init.release.cluster;\n" ::: "memory");
}
__device__ inline void arrive(uint32_t barrier) {  // its shared_address()
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];\n" ::"r"(barrier) : "memory");
}
__device__ inline void arrive(uint64_t* barrier) { arrive(shared_address(barrier)); }
// Arrives, and has the phase wait for `bytes` more.
__device__ inline void arrive_expecting(uint64_t* barrier, uint32_t bytes) {
  asm volatile(
      "mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;\n" ::"r"(shared_address(barrier)),
      "r"(bytes)
      : "memory");
}
// Arrives when all copies (mma.cuh) that this thread has asked for have ended.
__device__ inline void arrive_when_copied(uint64_t* barrier) {
  asm volatile(
      "cp.async.mbarrier.arrive.noinc.shared::cta.b64 [%0];\n" ::"r"(shared_address(barrier))
      : "memory");
}
// Whether phase `phase` (0, 1, 2, ...) has ended; at most one later one may have begun. Waits for a
// while that the card chooses.
__device__ inline bool is_phase_over(uint32_t barrier, int phase) {  // its shared_address()
  uint32_t is_done = 0;
  asm volatile(
      "{\n"
      ".reg .pred done;\n"
      "mbarrier.try_wait.parity.shared::cta.b64 done, [%1], %2;\n"
      "selp.u32 %0, 1, 0, done;\n"
      "}\n"
      : "=r"(is_done)
      : "r"(barrier), "r"(phase % 2)
      : "memory");
  return is_done != 0;
}
__device__ inline bool is_phase_over(uint64_t* barrier, int phase) {
  return is_phase_over(shared_address(barrier), phase);
}
// The same without waiting at all.
__device__ inline bool has_phase_ended(uint64_t* barrier, int phase) {
  uint32_t is_done = 0;
  asm volatile(
      "{\n"
      ".reg .pred done;\n"
      "mbarrier.test_wait.parity.shared::cta.b64 done, [%1], %2;\n"
      "selp.u32 %0, 1, 0, done;\n"
      "}\n"
      : "=r"(is_done)
      : "r"(shared_address(barrier)), "r"(phase % 2)
      : "memory");
  return is_done != 0;
}
// Until that phase has ended.
__device__ inline void wait_phase(uint32_t barrier, int phase) {
  while (!is_phase_over(barrier, phase)) {
  }
}
__device__ inline void wait_phase(uint64_t* barrier, int phase) {
  wait_phase(shared_address(barrier), phase);
}

}  // namespace samebits::cuda
