#include "harness/kernels/clip_scale.h"

#include "harness/kernels/functional.h"
#include "harness/kernels/ops/operator.h"
#include "harness/kernels/ops/shapes.h"

namespace samebits {
namespace {

Metas clip_scale_shapes(Args args) {
  const auto squares = args[0].toTensorVector();
  TORCH_CHECK(!squares.empty(), "clip_scale: found no squares, expected one or more");
  for (const at::Tensor& square : squares) check_rank("clip_scale", "a square", square, 0);
  return {{{}, c10::kFloat}, {{}, c10::kFloat}};
}

TORCH_LIBRARY_FRAGMENT(samebits, m) {
  // clip_scale.h: float32 [] each -> both float32 [].
  define(m, "clip_scale(Tensor[] squares, float clip_norm) -> (Tensor norm, Tensor scale)",
         clip_scale_shapes, {.is_replayable = true});
}

}  // namespace

std::tuple<at::Tensor, at::Tensor> ops::clip_scale(at::TensorList squares, double clip_norm) {
  static const Operator<decltype(clip_scale)> op("samebits::clip_scale");
  return op(squares, clip_norm);
}

}  // namespace samebits
