#include "harness/kernels/sum_squares.h"

#include "harness/kernels/functional.h"
#include "harness/kernels/ops/operator.h"
#include "harness/kernels/ops/shapes.h"

namespace samebits {
namespace {

Metas sum_squares_shapes(Args) { return {{{}, c10::kFloat}}; }

TORCH_LIBRARY_FRAGMENT(samebits, m) {
  // sum_squares.h: float32 [], cut into slices of `slice` along `dim` (slice 0: one slice).
  define(m, "sum_squares(Tensor x, int dim, int slice) -> Tensor", sum_squares_shapes,
         {.is_replayable = true});
}

}  // namespace

at::Tensor ops::sum_squares(const at::Tensor& x, int64_t dim, int64_t slice) {
  static const Operator<decltype(sum_squares)> op("samebits::sum_squares");
  return op(x, dim, slice);
}

}  // namespace samebits
