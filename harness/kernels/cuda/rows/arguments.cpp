#include "harness/kernels/cuda/rows/arguments.h"

#include <bit>

namespace samebits::cuda {

int64_t last(const at::Tensor& x) { return x.size(-1); }

int64_t rows_of(const at::Tensor& x) {
  return c10::multiply_integers(x.sizes().slice(0, x.dim() - 1));
}

Sequences sequences_of(const Call& call, const std::optional<at::Tensor>& starts, int64_t tokens) {
  if (!starts || !starts->defined()) return {nullptr, 1, tokens};
  call.expect(*starts, "starts", at::kInt);
  TORCH_CHECK((starts->dim() == 1 || starts->dim() == 2) && starts->size(-1) >= 1, call.op(),
              ": starts has shape ", starts->sizes(),
              ", expected [sequences + 1] or [groups, sequences + 1]");
  const int64_t groups = starts->dim() == 1 ? 1 : starts->size(0);
  TORCH_CHECK(groups >= 1 && std::has_single_bit(static_cast<uint64_t>(groups)), call.op(),
              ": starts has ", groups, " groups, expected a power of two");
  return {data_of<int32_t>(*starts), starts->size(-1) - 1, tokens, groups};
}

Rows rows(const Call& call, const at::Tensor& x) {
  TORCH_CHECK(last(x) >= 1, call.op(), ": x has shape ", x.sizes(),
              ", expected a last dimension of at least 1");
  return {rows_of(x), last(x), call.is_bf16(x)};
}

Rotation rotation_of(const Call& call, const at::Tensor& x, const at::Tensor& cos,
                     const at::Tensor& sin, const at::Tensor& positions) {
  call.expect(cos, "cos", at::kFloat);
  call.expect(sin, "sin", at::kFloat);
  call.expect(positions, "positions", at::kLong);
  return {x.size(0) * x.size(1),
          x.size(2),
          x.size(3),
          cos.size(0),
          data_of<float>(cos),
          data_of<float>(sin),
          data_of<int64_t>(positions),
          call.is_bf16(x),
          call.all_settled(),
          call.are_settled(cos, sin, positions)};
}

NormedHeads heads_of(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& normed,
                     const at::Tensor& rotated) {
  return {x.size(2), data_of(x), data_of(weight), written(normed), written(rotated)};
}

}  // namespace samebits::cuda
