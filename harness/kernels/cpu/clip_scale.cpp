#include "harness/kernels/clip_scale.h"

#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <tuple>

#include "harness/kernels/cpu/tensors.h"

namespace samebits {
namespace {

std::tuple<at::Tensor, at::Tensor> clip_scale(at::TensorList squares, double clip_norm) {
  TORCH_CHECK(!squares.empty(), "clip_scale: found no squares, expected one or more");
  float sum = 0.0f;
  for (const at::Tensor& square : squares) {
    check_sizes("clip_scale", "a square", square, {});
    check_dtype("clip_scale", "a square", square, at::kFloat);
    sum = sum + *elements<float>(square);
  }
  const ClipScale clip = clip_scale_of_sum(sum, static_cast<float>(clip_norm));
  at::Tensor norm = at::empty({}, squares[0].options());
  at::Tensor scale = at::empty({}, squares[0].options());
  *mutable_elements<float>(norm) = clip.norm;
  *mutable_elements<float>(scale) = clip.scale;
  return {norm, scale};
}

TORCH_LIBRARY_IMPL(samebits, CPU, m) { m.impl("clip_scale", clip_scale); }

}  // namespace
}  // namespace samebits
