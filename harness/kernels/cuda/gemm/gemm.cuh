#pragma once

// What the matrix kernels share: the problem, tiles of its operands, and the tree over slices.

#include "harness/kernels/cuda/gemm/launchers.h"
#include "harness/kernels/cuda/runtime/device.cuh"
#include "harness/kernels/cuda/runtime/mma.cuh"
#include "harness/kernels/cuda/runtime/sequences.cuh"

namespace samebits::cuda {

// What one launch needs. The operands may have been swapped, so the result has two strides.
struct Problem {
  Operand a;  // [m, k]
  Operand b;  // [n, k]
  int64_t m, n, k;
  int64_t slices;
  int64_t width;  // of a slice, the last one may be shorter
  void* out;
  int64_t out_row, out_column;  // strides
  int64_t out_slice;            // elements between the results of two slices, where they are kept
  bool bf16_out;
  bool a_is_settled;  // no kernel that may still run writes it (launch.cuh)
  bool b_is_settled;
  // Where there is a residual, what it and the rounded result add up to goes to `sum`; both are
  // bf16 and laid out as the result is.
  const Bf16* residual;
  Bf16* sum;
  bool onto;  // a chain starts at what `out`, float32, holds
  // Of a weight's gradient (launchers.h). Where there are several groups, a slice is one.
  Sequences sequences;
  bool is_padded;
  GroupRows added;
  Fault* fault;
};

// What slice `slice` takes of k.
__device__ inline TokenRange range_of(const Problem& p, int64_t slice) {
  const Sequences& sequences = p.sequences;
  if (sequences.groups == 1) {
    const int64_t first = slice * p.width;
    return {first, first + p.width < p.k ? first + p.width : p.k};
  }
  TokenRange range{};
  for (int64_t s = 0; s < (slice + 1) * sequences.count; ++s) {
    const TokenRange tokens = tokens_of(sequences, s, p.fault);
    const int64_t length = tokens.end - tokens.first;
    range.end += p.is_padded ? (length + 15) / 16 * 16 : length;
    if (s < slice * sequences.count) range.first = range.end;
  }
  return {min(range.first, p.k), min(range.end, p.k)};
}

// What is added to a group's sum at a row and a column.
__device__ inline float added_at(const Problem& p, int64_t group, int64_t row, int64_t column) {
  const int32_t slot = p.added.slots[group * p.m + row];
  return slot < 0 ? 0.0f : p.added.rows[slot * p.n + column];
}

// Where the chain of one result starts.
__device__ inline float start_of(const Problem& p, int64_t row, int64_t column) {
  if (!p.onto || row >= p.m || column >= p.n) return 0.0f;
  return static_cast<const float*>(p.out)[row * p.out_row + column * p.out_column];
}

__device__ inline void write(const Problem& p, int64_t slice, int64_t row, int64_t column,
                             float value) {
  if (row >= p.m || column >= p.n) return;
  const int64_t at = slice * p.out_slice + row * p.out_row + column * p.out_column;
  if (p.bf16_out) {
    store(value, static_cast<Bf16*>(p.out)[at]);
  } else {
    store(value, static_cast<float*>(p.out)[at]);
  }
}

// A bf16 operand's tile in shared memory keeps the layout of global memory: [row][k] where k is
// contiguous, [k][row] where rows are.
template <int kRows, int kDepth, bool kByRows>
struct OperandTile {
  static constexpr int kColumns = kByRows ? kDepth : kRows;
  static constexpr int kLines = kByRows ? kRows : kDepth;
  static constexpr int kElements = kLines * kColumns;
  static constexpr int kChunks = kElements / 8;

  // Thread `thread` of kThreads brings its share of rows first_row .. and k first_k .. of the
  // operand; what lies past its rows or k_end is zero.
  template <int kThreads>
  __device__ static void fill(int thread, uint16_t* to, const Operand& operand, bool is_aligned,
                              int64_t first_row, int64_t rows, int64_t first_k, int64_t k_end) {
    const SharedTile<kColumns> tile{to};
    const auto* from = static_cast<const uint16_t*>(operand.data);
    const int64_t stride = kByRows ? operand.row_stride : operand.k_stride;
    const int64_t first_line = kByRows ? first_row : first_k;
    const int64_t lines = kByRows ? rows : k_end;
    const int64_t first_column = kByRows ? first_k : first_row;
    const int64_t columns = kByRows ? k_end : rows;
    for (int i = thread; i < kChunks; i += kThreads) {
      const int line = i / (kColumns / 8);
      const int column = i % (kColumns / 8) * 8;
      const int64_t left = columns - first_column - column;
      const int count =
          first_line + line < lines && left > 0 ? static_cast<int>(left < 8 ? left : 8) : 0;
      const uint16_t* source =
          count > 0 ? from + (first_line + line) * stride + first_column + column : from;
      uint16_t* chunk = tile.chunk(line, column);
      if (is_aligned) {
        copy_16(chunk, source, count * 2);
      } else {
        for (int j = 0; j < 8; ++j) chunk[j] = j < count ? source[j] : uint16_t{0};
      }
    }
  }
};

// Whether every chunk of 8 elements that a tile copies begins at a multiple of 16 bytes.
inline bool is_aligned(const Operand& operand, int64_t slice_width) {
  const bool by_rows = operand.k_stride == 1;
  return reinterpret_cast<uintptr_t>(operand.data) % 16 == 0 &&
         (by_rows ? operand.row_stride : operand.k_stride) % 8 == 0 &&
         (!by_rows || slice_width % 8 == 0);
}

constexpr int kMaxDepth = 32;  // of the tree

// The sum of part(0), ..., part(slices - 1) by the tree of linear.h: as they come, neighbours of
// equal size are joined, and what is left is joined from the right.
template <typename Part>
__device__ float join_slices(int64_t slices, Part part) {
  if (slices == 8) {  // the number that TP invariance cuts, without a loop
    return ((part(0) + part(1)) + (part(2) + part(3))) +
           ((part(4) + part(5)) + (part(6) + part(7)));
  }
  float sums[kMaxDepth];
  int depth = 0;
  for (int64_t s = 0; s < slices; ++s) {
    sums[depth++] = part(s);
    for (int64_t done = s + 1; done % 2 == 0; done /= 2) {
      --depth;
      sums[depth - 1] = sums[depth - 1] + sums[depth];
    }
  }
  while (depth > 1) {
    --depth;
    sums[depth - 1] = sums[depth - 1] + sums[depth];
  }
  return sums[0];
}

// ---- skinny.cu: few rows on one side ------------------------------------------------------
// Whether gemm_skinny takes a problem of bf16 operands.
bool is_skinny(const Problem& p);
// Slices are joined within a block: nothing goes to a workspace. The one kernel that knows the
// residual.
void gemm_skinny(const Problem& p, cudaStream_t stream);

// ---- large.cu: many rows on both sides ----------------------------------------------------
// Whether gemm_large takes a problem of bf16 operands, which has not been swapped.
bool is_large(const Problem& p);
void gemm_large(const Problem& p, cudaStream_t stream);

}  // namespace samebits::cuda
