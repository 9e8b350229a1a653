#include "repro/inductor_elides_bf16_rounding/repro.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <functional>

namespace samebits {
namespace {

using Tensors = std::vector<at::Tensor>;
using Step = std::function<at::Tensor(const at::Tensor&)>;  // what is done to each result

constexpr int64_t kFusedBatch = 2;
constexpr int64_t kFusedHeads = 3;
constexpr int64_t kFusedDim = 8;
constexpr int64_t kFusedLongest = 7;

at::Tensor held_as(const at::Tensor& x, at::ScalarType dtype) {
  return at::_to_copy(x, x.options().dtype(dtype));
}

at::Tensor rotate_half(const at::Tensor& q, const Step& step) {
  const at::Tensor first = q.slice(-1, 0, kFusedDim / 2);
  const at::Tensor second = q.slice(-1, kFusedDim / 2, kFusedDim);
  return at::cat({step(second.neg()), first}, -1);
}

at::Tensor rope_in_steps(const at::Tensor& q, const at::Tensor& cos, const at::Tensor& sin,
                         const Step& step) {
  const at::Tensor straight = step(q.mul(cos.unsqueeze(1)));
  const at::Tensor turned = step(rotate_half(q, step).mul(sin.unsqueeze(1)));
  return step(straight.add(turned));
}

at::Tensor fused(const Tensors& in, FusedRounding rounding) {
  const Step step = [rounding](const at::Tensor& x) {
    return rounding == FusedRounding::kAtEnd ? x : held_as(held_as(x, at::kBFloat16), at::kFloat);
  };
  const auto wide = [&](size_t i) { return held_as(in[i], at::kFloat); };
  return held_as(rope_in_steps(wide(0), wide(1), wide(2), step), at::kBFloat16);
}

}  // namespace

Subject fused_rope(FusedRounding rounding) {
  Subject subject;
  subject.program = [rounding](const Tensors& in) { return Tensors{fused(in, rounding)}; };
  subject.reference = [](const Tensors& in) {
    return Tensors{rope_in_steps(in[0], in[1], in[2], [](const at::Tensor& x) { return x; })};
  };
  subject.dims = {{0, 2, "s", 1}, {1, 1, "s", 1}, {2, 1, "s", 1}};
  at::Generator generator = at::detail::createCPUGenerator(/*seed_val=*/99);
  const at::Tensor q = at::randn({kFusedBatch, kFusedHeads, kFusedLongest, kFusedDim}, generator);
  const at::Tensor angles = at::randn({kFusedBatch, kFusedLongest, kFusedDim}, generator);
  const Tensors longest = {q.to(at::kBFloat16), angles.cos().to(at::kBFloat16),
                           angles.sin().to(at::kBFloat16)};
  subject.inputs = [longest](int64_t size) {
    const auto first = [&](size_t i, int64_t dim) {
      return longest[i].narrow(dim, 0, size).contiguous();
    };
    return Tensors{first(0, 2), first(1, 1), first(2, 1)};
  };
  subject.hint = 5;
  subject.sizes = {5, 1, 2, 3, 4, 6, 7};
  return subject;
}

Repro inductor_elides_bf16_rounding() {
  return {
      "inductor_elides_bf16_rounding",
      "a compiler fuses a chain of bfloat16 operators and rounds once where eager rounds each time",
      /*is_silent=*/true,
      /*symptom=*/"at 5: output 0 has other bits than the reference's",
      {"https://github.com/pytorch/pytorch/issues/183122",
       "https://github.com/pytorch/pytorch/issues/182225",
       "https://github.com/pytorch/pytorch/issues/159239",
       "https://github.com/pytorch/pytorch/issues/158699",
       "https://github.com/pytorch/pytorch/issues/141727",
       "https://github.com/pytorch/pytorch/issues/168186",
       "https://github.com/pytorch/torchtitan/pull/2373",
       "https://github.com/pytorch/torchtitan/pull/2486"},
      [](Side side) {
        return fused_rope(side == Side::kBuggy ? FusedRounding::kAtEnd : FusedRounding::kEachStep);
      },
      /*also=*/{},
      /*on_card=*/{},
      run_with_reference};
}
SAMEBITS_REPRO(inductor_elides_bf16_rounding);

}  // namespace samebits
