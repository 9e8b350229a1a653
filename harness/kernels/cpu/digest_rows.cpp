#include "harness/kernels/digest_rows.h"

#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <array>
#include <vector>

#include "harness/bits/digest.h"
#include "harness/dispatch/launch.h"
#include "harness/kernels/shape_rule.h"

namespace samebits {
namespace {

struct Value {
  const void* data;
  int64_t elements;
  int64_t element_size;
  int64_t width;
  const int64_t* rows;  // null: all
};

struct Batch {
  std::array<Value, kMaxDigestedValues> values;
  int64_t count;
  int64_t* to;
};

int64_t digested_elements(const Value& value, int64_t index) {
  if (value.rows == nullptr) return value.elements;
  const int64_t most = value.elements / value.width;
  TORCH_CHECK(*value.rows >= 0 && *value.rows <= most, "digest_rows: value ", index, " has ", most,
              " rows, found a size of ", *value.rows);
  return *value.rows * value.width;
}

void run(const Batch& batch) {
  for (int64_t k = 0; k < batch.count; ++k) {
    const Value& value = batch.values[k];
    DigestSums sums;
    add_range(sums, value.element_size, value.data, digested_elements(value, k), /*first_index=*/0);
    batch.to[2 * k] = static_cast<int64_t>(sums.a);
    batch.to[2 * k + 1] = static_cast<int64_t>(sums.b);
  }
}

at::Tensor digest_rows(at::TensorList values, at::IntArrayRef widths, at::IntArrayRef rows,
                       const at::Tensor& sizes) {
  infer_shapes("samebits::digest_rows", {values, widths, rows, sizes});  // checks
  const auto count = static_cast<int64_t>(values.size());
  const at::Tensor from = sizes.contiguous();
  const at::Tensor result = at::empty({count, 2}, sizes.options());
  Batch batch{{}, count, result.mutable_data_ptr<int64_t>()};
  std::vector<at::Tensor> contiguous;  // until the launch is recorded
  for (int64_t k = 0; k < count; ++k) {
    const at::Tensor& x = contiguous.emplace_back(values[k].contiguous());
    batch.values[k] = {x.const_data_ptr(), x.numel(), x.element_size(), widths[k],
                       rows[k] < 0 ? nullptr : from.const_data_ptr<int64_t>() + rows[k]};
  }
  launch("digest_rows", [batch] { run(batch); });
  return result;
}

TORCH_LIBRARY_IMPL(samebits, CPU, m) { m.impl("digest_rows", digest_rows); }

}  // namespace
}  // namespace samebits
