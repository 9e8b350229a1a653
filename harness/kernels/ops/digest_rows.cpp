#include "harness/kernels/digest_rows.h"

#include "harness/kernels/functional.h"
#include "harness/kernels/ops/operator.h"
#include "harness/kernels/ops/shapes.h"

namespace samebits {
namespace {

Metas digest_rows_shapes(Args args) {
  const size_t values = args[0].toListRef().size();
  const std::vector<int64_t> widths = args[1].toIntVector();
  const std::vector<int64_t> rows = args[2].toIntVector();
  const at::Tensor& sizes = args[3].toTensor();
  TORCH_CHECK(values > 0 && values <= kMaxDigestedValues, "digest_rows: found ", values,
              " values, expected 1 to ", kMaxDigestedValues);
  TORCH_CHECK(widths.size() == values && rows.size() == values, "digest_rows: found ",
              widths.size(), " widths and ", rows.size(), " rows, expected ", values, " of each");
  check_rank("digest_rows", "sizes", sizes, 1);
  TORCH_CHECK(sizes.scalar_type() == c10::kLong, "digest_rows: sizes has dtype ",
              sizes.scalar_type(), ", expected Long");
  for (size_t k = 0; k < values; ++k) {
    TORCH_CHECK(widths[k] > 0, "digest_rows: width ", k, " is ", widths[k], ", expected 1 or more");
    TORCH_CHECK(rows[k] >= -1 && rows[k] < sizes.size(0), "digest_rows: rows ", k, " is ", rows[k],
                ", expected -1 to ", sizes.size(0) - 1);
  }
  return {{{c10::SymInt(values), c10::SymInt(2)}, c10::kLong}};
}

TORCH_LIBRARY_FRAGMENT(samebits, m) {
  // digest_rows.h: int64 [n, 2] of n tensors of any dtype, of as many rows as `sizes` (int64 [m])
  // says.
  define(m, "digest_rows(Tensor[] values, int[] widths, int[] rows, Tensor sizes) -> Tensor",
         digest_rows_shapes, {.is_replayable = true});
}

}  // namespace

at::Tensor ops::digest_rows(at::TensorList values, at::IntArrayRef widths, at::IntArrayRef rows,
                            const at::Tensor& sizes) {
  static const Operator<decltype(digest_rows)> op("samebits::digest_rows");
  return op(values, widths, rows, sizes);
}

}  // namespace samebits
