#include "repro/rope_freqs_cast_bf16/repro.h"

#include <ATen/ATen.h>

#include "harness/kernels/functional.h"
#include "harness/model/rope.h"

namespace samebits {
namespace {

using Tensors = std::vector<at::Tensor>;

constexpr int64_t kRotatedHeads = 2;
constexpr int64_t kRotatedDim = 128;
constexpr int64_t kRotatedPositions = 32769;  // the largest is rounded up

const RopeTable& long_table() {
  static const RopeTable table = make_rope_table(kRotatedPositions, kRotatedDim, /*theta=*/1e6);
  return table;
}

at::Tensor cast(const at::Tensor& x, at::ScalarType dtype) {
  return at::_to_copy(x, x.options().dtype(dtype));
}

// As fully_shard does with floating inputs of a module, and the module with what it gets.
at::Tensor through_boundary(const at::Tensor& x) {
  return cast(cast(x, at::kBFloat16), x.scalar_type());
}

Tensors rotated_behind_boundary(const Tensors& in, CastToBf16 what) {
  RopeTable table = long_table();
  at::Tensor positions = in[1];
  if (what == CastToBf16::kTable) {
    table = {through_boundary(table.cos), through_boundary(table.sin)};
  } else if (what == CastToBf16::kPositions) {
    positions = cast(through_boundary(cast(positions, at::kFloat)), at::kLong);
  }
  return {ops::rope(in[0], table.cos, table.sin, positions, /*inverse=*/false)};
}

}  // namespace

Subject rope_behind_boundary(CastToBf16 what) {
  Subject subject;
  subject.program = [what](const Tensors& in) { return rotated_behind_boundary(in, what); };
  subject.reference = [](const Tensors& in) {
    return rotated_behind_boundary(in, CastToBf16::kNothing);
  };
  subject.dims = {{0, 1, "s", 1}, {1, 1, "s", 1}};
  subject.inputs = [](int64_t size) {
    const at::Tensor x = at::arange(1, size * kRotatedHeads * kRotatedDim + 1, at::kFloat);
    const at::Tensor positions = at::tensor({1, 256, 257, 4095, 32767, 15962, 8191}, at::kLong);
    return Tensors{x.remainder(11).view({1, size, kRotatedHeads, kRotatedDim}),
                   positions.narrow(0, 0, size).view({1, size})};
  };
  subject.hint = 5;
  subject.sizes = sizes_to_try(/*ranks=*/3);
  return subject;
}

Repro rope_freqs_cast_bf16() {
  return {
      "rope_freqs_cast_bf16",
      "mixed precision rounds the float32 RoPE table, or the positions, to bfloat16 on the way in",
      /*is_silent=*/true,
      /*symptom=*/"at 1: output 0 has other bits than the reference's",
      {"https://github.com/pytorch/torchtitan/pull/2881",
       "https://github.com/huggingface/transformers/pull/29285",
       "https://github.com/huggingface/transformers/issues/25681",
       "https://github.com/NVIDIA/TransformerEngine/issues/1245",
       "https://github.com/Modalities/modalities/pull/462"},
      [](Side side) {
        return rope_behind_boundary(side == Side::kBuggy ? CastToBf16::kTable
                                                         : CastToBf16::kNothing);
      },
      {{"the positions are cast", "at 3: output 0 has other bits than the reference's",
        [] { return rope_behind_boundary(CastToBf16::kPositions); }}},
      /*on_card=*/{},
      run_with_reference};
}
SAMEBITS_REPRO(rope_freqs_cast_bf16);

}  // namespace samebits
