#include "harness/kernels/clip_scale.h"

#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <algorithm>
#include <array>
#include <tuple>

#include "harness/dispatch/launch.h"
#include "harness/kernels/cpu/tensors.h"

namespace samebits {
namespace {

constexpr size_t kSquaresOfLaunch = 64;  // a launch holds plain values only

// Adds some squares to the sum in *norm, which the first launch starts from +0.
struct Squares {
  std::array<const float*, kSquaresOfLaunch> each;
  size_t count;
  bool is_first;
  float* norm;
};

void add(const Squares& squares) {
  float sum = squares.is_first ? 0.0f : *squares.norm;
  for (size_t i = 0; i < squares.count; ++i) sum = sum + *squares.each[i];
  *squares.norm = sum;
}

std::tuple<at::Tensor, at::Tensor> clip_scale(at::TensorList squares, double clip_norm) {
  TORCH_CHECK(!squares.empty(), "clip_scale: found no squares, expected one or more");
  at::Tensor norm = at::empty({}, squares[0].options());
  at::Tensor scale = at::empty({}, squares[0].options());
  for (const at::Tensor& square : squares) {
    check_sizes("clip_scale", "a square", square, {});
    check_dtype("clip_scale", "a square", square, at::kFloat);
  }
  for (size_t first = 0; first < squares.size(); first += kSquaresOfLaunch) {
    Squares some{{},
                 std::min(kSquaresOfLaunch, squares.size() - first),
                 first == 0,
                 mutable_elements<float>(norm)};
    for (size_t i = 0; i < some.count; ++i) some.each[i] = elements<float>(squares[first + i]);
    launch("clip_scale", [some] { add(some); });
  }
  launch("clip_scale",
         [clip_norm = static_cast<float>(clip_norm), norm = mutable_elements<float>(norm),
          scale = mutable_elements<float>(scale)] {
           const ClipScale clip = clip_scale_of_sum(*norm, clip_norm);
           *norm = clip.norm;
           *scale = clip.scale;
         });
  return {norm, scale};
}

TORCH_LIBRARY_IMPL(samebits, CPU, m) { m.impl("clip_scale", clip_scale); }

}  // namespace
}  // namespace samebits
