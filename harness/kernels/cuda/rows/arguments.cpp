#include "harness/kernels/cuda/rows/arguments.h"

#include <bit>

namespace samebits::cuda {

int64_t last(const at::Tensor& x) { return x.size(-1); }

int64_t rows_of(const at::Tensor& x) {
  return c10::multiply_integers(x.sizes().slice(0, x.dim() - 1));
}

Sequences sequences_of(const Call& call, size_t i, int64_t tokens) {
  if (!call.arg(i).isTensor() || !call.tensor(i).defined()) return {nullptr, 1, tokens};
  const at::Tensor& starts = call.tensor(i);
  call.expect(i, "starts", at::kInt);
  TORCH_CHECK((starts.dim() == 1 || starts.dim() == 2) && starts.size(-1) >= 1, call.op(),
              ": starts has shape ", starts.sizes(),
              ", expected [sequences + 1] or [groups, sequences + 1]");
  const int64_t groups = starts.dim() == 1 ? 1 : starts.size(0);
  TORCH_CHECK(groups >= 1 && std::has_single_bit(static_cast<uint64_t>(groups)), call.op(),
              ": starts has ", groups, " groups, expected a power of two");
  return {starts.const_data_ptr<int32_t>(), starts.size(-1) - 1, tokens, groups};
}

Rows rows(const Call& call, size_t x) {
  TORCH_CHECK(last(call.tensor(x)) >= 1, call.op(), ": x has shape ", call.tensor(x).sizes(),
              ", expected a last dimension of at least 1");
  return {rows_of(call.tensor(x)), last(call.tensor(x)), call.is_bf16(x)};
}

Rotation rotation_of(const Call& call, size_t cos) {
  const at::Tensor& x = call.tensor(0);
  call.expect(cos, "cos", at::kFloat);
  call.expect(cos + 1, "sin", at::kFloat);
  call.expect(cos + 2, "positions", at::kLong);
  return {x.size(0) * x.size(1),
          x.size(2),
          x.size(3),
          call.tensor(cos).size(0),
          call.data<float>(cos),
          call.data<float>(cos + 1),
          call.data<int64_t>(cos + 2),
          call.is_bf16(0),
          call.all_settled(),
          call.settled({cos, cos + 1, cos + 2})};
}

NormedHeads heads_of(const Call& call, size_t x, size_t result) {
  return {call.tensor(x).size(2), call.data(x), call.data(x + 1), call.result(result),
          call.result(result + 1)};
}

}  // namespace samebits::cuda
