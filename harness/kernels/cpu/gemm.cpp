#include "harness/kernels/cpu/gemm.h"

#include <ATen/Parallel.h>
#include <c10/util/Exception.h>

#include <algorithm>

#include "harness/kernels/cpu/math.h"
#include "harness/kernels/cpu/sm90_step.h"

namespace samebits {
namespace {

// Rows of one block: enough to amortise the transposition of b, few enough for the cache.
constexpr int64_t kMaxBlockRows = 48;
constexpr int64_t kBlockColumns = kF32Lanes;  // whole blocks of both kernels

void add(float* sum, const float* other, int64_t count) {
  for (int64_t i = 0; i < count; ++i) sum[i] += other[i];
}

void store(const float* c, int64_t rows, int64_t columns, void* out, c10::ScalarType out_dtype,
           int64_t row, int64_t column, int64_t ld) {
  if (out_dtype == at::kFloat) {
    float* to = static_cast<float*>(out) + row * ld + column;
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t i = 0; i < columns; ++i) {
        to[r * ld + i] = canonical_nan_f32(c[r * kBlockColumns + i]);
      }
    }
  } else {
    auto* to = static_cast<uint16_t*>(out) + row * ld + column;
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t i = 0; i < columns; ++i) to[r * ld + i] = f32_to_bf16(c[r * kBlockColumns + i]);
    }
  }
}

MatrixView columns_from(const MatrixView& view, int64_t k, size_t element) {
  return {static_cast<const char*>(view.data) + k * view.k_stride * element, view.row_stride,
          view.k_stride};
}

// The fixed tree over slices, built as they arrive: neighbours of equal size are joined, and what
// is left over is joined from the right, which is "pairs, an odd one carried up".
class SliceTree {
 public:
  explicit SliceTree(int64_t count) : count_(count) {}

  float* push() {
    if (depth_ == levels_.size()) levels_.emplace_back(count_);
    std::fill(levels_[depth_].begin(), levels_[depth_].end(), 0.0f);
    return levels_[depth_++].data();
  }

  // After slice number `index` has been filled in.
  void join(int64_t index) {
    for (int64_t done = index + 1; done % 2 == 0; done /= 2) join_last_two();
  }

  // The sum; the tree is empty again, and the sum stays valid until the next push.
  const float* finish() {
    while (depth_ > 1) join_last_two();
    depth_ = 0;
    return levels_[0].data();
  }

 private:
  void join_last_two() {
    --depth_;
    add(levels_[depth_ - 1].data(), levels_[depth_].data(), count_);
  }

  int64_t count_;
  size_t depth_ = 0;
  std::vector<std::vector<float>> levels_;
};

}  // namespace

const GemmKernels& gemm_kernels(Isa isa) {
  switch (isa) {
#if defined(__x86_64__)
    case Isa::avx512:
      return kGemmAvx512;
    case Isa::avx2:
      return kGemmAvx2;
#endif
    default:
      return kGemmPortable;
  }
}

void RowBlock::prepare(const MatrixView& a, int64_t rows, int64_t k) {
  a_ = a;
  rows_ = rows;
  k_ = k;
  if (dtype_ == at::kFloat) return;
  steps_.resize((k + kSm90StepK - 1) / kSm90StepK * rows);
  kernels_.sm90_prepare(static_cast<const uint16_t*>(a.data), a.row_stride, a.k_stride, rows, k,
                        steps_.data());
}

void RowBlock::chain_part(int64_t first_row, int64_t rows, int64_t first_k, int64_t k,
                          const MatrixView& b, int64_t columns, float* c, int64_t ldc) const {
  for (int64_t n = 0; n < columns; n += lanes()) {
    const int count = static_cast<int>(std::min(lanes(), columns - n));
    if (dtype_ == at::kFloat) {
      kernels_.f32_chain(
          static_cast<const float*>(a_.data) + first_row * a_.row_stride + first_k * a_.k_stride,
          a_.row_stride, a_.k_stride, rows, static_cast<const float*>(b.data) + n * b.row_stride,
          b.row_stride, b.k_stride, count, k, c + n, ldc);
    } else {
      kernels_.sm90_chain(steps_.data() + first_k / kSm90StepK * rows_ + first_row, rows_, rows,
                          static_cast<const uint16_t*>(b.data) + n * b.row_stride, b.row_stride,
                          b.k_stride, count, k, c + n, ldc);
    }
  }
}

void gemm(const MatrixView& a, const MatrixView& b, int64_t m, int64_t n, int64_t k, int64_t slice,
          c10::ScalarType dtype, void* out, c10::ScalarType out_dtype) {
  if (m == 0 || n == 0) return;
  const Isa isa = selected_isa();
  const size_t element = c10::elementSize(dtype);
  const int64_t width = slice == 0 ? std::max<int64_t>(k, 1) : slice;
  const int64_t slices = std::max<int64_t>((k + width - 1) / width, 1);
  const int64_t row_blocks = (m + kMaxBlockRows - 1) / kMaxBlockRows;
  const int64_t column_blocks = (n + kBlockColumns - 1) / kBlockColumns;
  std::vector<RowBlock> operands(slices, RowBlock(isa, dtype));

  for (int64_t block = 0; block < row_blocks; ++block) {
    const int64_t first_row = m * block / row_blocks;
    const int64_t rows = m * (block + 1) / row_blocks - first_row;
    const MatrixView a_rows = rows_from(a, first_row, element);
    for (int64_t s = 0; s < slices; ++s) {
      operands[s].prepare(columns_from(a_rows, s * width, element), rows,
                          std::min(width, k - s * width));
    }
    at::parallel_for(0, column_blocks, /*grain_size=*/1, [&](int64_t begin, int64_t end) {
      SliceTree tree(rows * kBlockColumns);
      for (int64_t j = begin; j < end; ++j) {
        const int64_t column = j * kBlockColumns;
        const int64_t columns = std::min(kBlockColumns, n - column);
        const MatrixView b_rows = rows_from(b, column, element);
        for (int64_t s = 0; s < slices; ++s) {
          operands[s].chain(columns_from(b_rows, s * width, element), columns, tree.push(),
                            kBlockColumns);
          tree.join(s);
        }
        store(tree.finish(), rows, columns, out, out_dtype, first_row, column, n);
      }
    });
  }
}

void gemm_onto(const MatrixView& a, const MatrixView& b, int64_t m, int64_t n,
               const std::vector<int64_t>& starts, c10::ScalarType dtype, float* sum) {
  if (m == 0 || n == 0) return;
  const size_t element = c10::elementSize(dtype);
  const auto sequences = static_cast<int64_t>(starts.size()) - 1;
  const int64_t row_blocks = (m + kMaxBlockRows - 1) / kMaxBlockRows;
  const int64_t column_blocks = (n + kBlockColumns - 1) / kBlockColumns;
  std::vector<RowBlock> operands(sequences, RowBlock(selected_isa(), dtype));

  for (int64_t block = 0; block < row_blocks; ++block) {
    const int64_t first_row = m * block / row_blocks;
    const int64_t rows = m * (block + 1) / row_blocks - first_row;
    const MatrixView a_rows = rows_from(a, first_row, element);
    for (int64_t s = 0; s < sequences; ++s) {
      operands[s].prepare(columns_from(a_rows, starts[s], element), rows,
                          starts[s + 1] - starts[s]);
    }
    at::parallel_for(0, column_blocks, /*grain_size=*/1, [&](int64_t begin, int64_t end) {
      std::vector<float> c(rows * kBlockColumns);
      for (int64_t j = begin; j < end; ++j) {
        const int64_t column = j * kBlockColumns;
        const int64_t columns = std::min(kBlockColumns, n - column);
        const MatrixView b_rows = rows_from(b, column, element);
        for (int64_t r = 0; r < rows; ++r) {
          std::copy_n(sum + (first_row + r) * n + column, columns, &c[r * kBlockColumns]);
        }
        for (int64_t s = 0; s < sequences; ++s) {
          operands[s].chain(columns_from(b_rows, starts[s], element), columns, c.data(),
                            kBlockColumns);
        }
        store(c.data(), rows, columns, sum, at::kFloat, first_row, column, n);
      }
    });
  }
}

}  // namespace samebits
