#pragma once

// The card's own matrix step and what feeds it: 16-byte copies into shared memory, and fragments
// from there. mma.sync.m16n8k16 with bf16 operands IS the step of cpu/sm90_step.h; a chain of them
// with k ascending is the contract's chain (linear.h).

#include <cuda_runtime.h>
#include <stdint.h>

namespace samebits::cuda {

__device__ inline uint32_t shared_address(const void* pointer) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(pointer));
}

// 16 bytes to shared memory, of which the first `bytes` come from `from` and the rest are zero.
__device__ inline void copy_16(uint32_t to, const void* from, int bytes) {  // a shared_address()
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;\n" ::"r"(to), "l"(from), "r"(bytes));
}
__device__ inline void copy_16(void* to, const void* from, int bytes) {
  copy_16(shared_address(to), from, bytes);
}
// 4 bytes.
__device__ inline void copy_4(void* to, const void* from) {
  asm volatile("cp.async.ca.shared.global [%0], [%1], 4;\n" ::"r"(shared_address(to)), "l"(from));
}
__device__ inline void commit_copies() { asm volatile("cp.async.commit_group;\n"); }
// Waits until at most kPending groups of this thread's copies are under way.
template <int kPending>
__device__ void wait_copies() {
  asm volatile("cp.async.wait_group %0;\n" ::"n"(kPending));
}

// Four 8 x 8 matrices of 16-bit elements; thread l gives the address of row l % 8 of matrix l / 8.
__device__ inline void load_matrices(uint32_t (&r)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];\n"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(row)));
}
__device__ inline void load_matrices_transposed(uint32_t (&r)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];\n"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(row)));
}

// The same from addresses within shared memory: a pointer takes more to add to.
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

// c = step(c; a, b) on a 16 x 8 tile. Thread l holds c of rows l / 4 and l / 4 + 8, columns
// 2 (l % 4) and the next.
__device__ inline void step(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%0, %1, %2, %3};\n"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// A tile of bf16 in shared memory: rows of kColumns elements in chunks of 8, the chunks of a row
// permuted so that eight rows of one column of chunks lie in different banks.
template <int kColumns>
struct SharedTile {
  static_assert(kColumns % 64 == 0);
  uint16_t* data;

  __device__ uint16_t* chunk(int row, int column) const {
    return data + row * kColumns + (((column >> 3) ^ (row & 7)) << 3);
  }
  __device__ uint16_t& at(int row, int column) const { return chunk(row, column)[column & 7]; }

  // The A fragment (rows x k) of rows row.. + 15, k column.. + 15, of a tile stored [row][k].
  __device__ void a_fragment(uint32_t (&r)[4], int row, int column, int lane) const {
    load_matrices(r, chunk(row + lane % 16, column + lane / 16 * 8));
  }
  // The same of a tile stored [k][row].
  __device__ void a_fragment_of_transposed(uint32_t (&r)[4], int row, int column, int lane) const {
    load_matrices_transposed(r, chunk(column + lane % 8 + lane / 16 * 8, row + lane / 8 % 2 * 8));
  }
  // B fragments of columns n.. + 7 (r[0], r[1]) and n + 8.. + 15 (r[2], r[3]), k k.. + 15, of a
  // tile stored [n][k].
  __device__ void b_fragments(uint32_t (&r)[4], int n, int k, int lane) const {
    load_matrices(r, chunk(n + lane % 8 + lane / 16 * 8, k + lane / 8 % 2 * 8));
  }
  // The same of a tile stored [k][n].
  __device__ void b_fragments_of_transposed(uint32_t (&r)[4], int n, int k, int lane) const {
    load_matrices_transposed(r, chunk(k + lane % 8 + lane / 8 % 2 * 8, n + lane / 16 * 8));
  }
};

}  // namespace samebits::cuda
