#pragma once

#include <c10/core/ScalarType.h>

#include <cstdint>
#include <vector>

#include "harness/kernels/cpu/gemm_kernels.h"
#include "harness/kernels/cpu/isa.h"

namespace samebits {

const GemmKernels& gemm_kernels(Isa isa);

// A matrix of bf16 or float32 in memory that somebody else owns; element (r, k) is at
// data + r * row_stride + k * k_stride, strides in elements.
struct MatrixView {
  const void* data;
  int64_t row_stride;
  int64_t k_stride;
};

// `view` from row `row` on; `element`: bytes of one.
inline MatrixView rows_from(const MatrixView& view, int64_t row, size_t element) {
  return {
      static_cast<const char*>(view.data) + row * view.row_stride * static_cast<int64_t>(element),
      view.row_stride, view.k_stride};
}

inline MatrixView transposed(const MatrixView& view) {
  return {view.data, view.k_stride, view.row_stride};
}

// Chains over one block of rows: the left operand, made ready once, then any number of products.
class RowBlock {
 public:
  // `dtype` is that of both operands: bfloat16 (the sm90 step) or float32 (fmaf).
  RowBlock(Isa isa, c10::ScalarType dtype) : kernels_(gemm_kernels(isa)), dtype_(dtype) {}

  // a: [rows, k]. A float32 operand is referred to, not copied.
  void prepare(const MatrixView& a, int64_t rows, int64_t k);

  // Columns that a kernel does at once: multiples of it waste none.
  int64_t lanes() const { return dtype_ == at::kFloat ? kF32Lanes : kSm90Lanes; }

  // c[row, n] = chain(c[row, n]; a[row, :], b[n, :]) for n < columns; c is float32 with rows `ldc`
  // apart. Terms go by k ascending; under sm90 in steps of 16 from k = 0, the last padded with
  // zeros.
  void chain(const MatrixView& b, int64_t columns, float* c, int64_t ldc) const {
    chain_part(0, rows_, 0, k_, b, columns, c, ldc);
  }

  // The same for rows first_row .. first_row + rows and for k from first_k (a multiple of 16) on; b
  // and c are given from there on. A bf16 step that `k` cuts short must be zero in `a` from there
  // on.
  void chain_part(int64_t first_row, int64_t rows, int64_t first_k, int64_t k, const MatrixView& b,
                  int64_t columns, float* c, int64_t ldc) const;

 private:
  const GemmKernels& kernels_;
  c10::ScalarType dtype_;
  MatrixView a_{};
  int64_t rows_ = 0;
  int64_t k_ = 0;
  std::vector<Sm90Operand> steps_;  // [ceil(k / 16)][rows]
};

// out[m, n] = tree over slices of k of chain(0; a[m, slice], b[n, slice]), see linear.h. `out` is
// row-major [m, n], contiguous, of `out_dtype`: float32 or bfloat16 (rounded once, at the end).
void gemm(const MatrixView& a, const MatrixView& b, int64_t m, int64_t n, int64_t k, int64_t slice,
          c10::ScalarType dtype, void* out, c10::ScalarType out_dtype);

// sum[m, n] = chain(sum[m, n]; a[m, :], b[n, :]), cut at `starts` (0, ..., the length of k): under
// sm90 every part begins a new step (step_gradient.h). `sum` is row-major, contiguous.
void gemm_onto(const MatrixView& a, const MatrixView& b, int64_t m, int64_t n,
               const std::vector<int64_t>& starts, c10::ScalarType dtype, float* sum);

}  // namespace samebits
