// row_dependence: rows whose bits depend on how many others there are.

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include <algorithm>

#include "harness/detect/findings.h"
#include "harness/dtensor/copies.h"

namespace samebits {

Findings rows_that_depend_on_others(const Subject& subject) {
  Findings found;
  if (subject.rows_dim < 0) return found;
  const c10::NoGradGuard no_grad;
  const int64_t most = *std::max_element(subject.sizes.begin(), subject.sizes.end());
  if (!runs_eagerly(subject, most)) return found;
  const at::Tensor whole = subject.program(subject.inputs(most))[0];
  for (const int64_t size : subject.sizes) {
    if (size == most || !runs_eagerly(subject, size)) continue;
    const at::Tensor part = subject.program(subject.inputs(size))[0];
    for (int64_t row = 0; row < size; ++row) {
      const auto row_of = [&](const at::Tensor& x) { return x.select(subject.rows_dim, row); };
      if (same_bits(row_of(part), row_of(whole))) continue;
      found.push_back(
          fmt::format("row {} of {} is not row {} of {} to the bit", row, size, row, most));
    }
  }
  return found;
}

}  // namespace samebits
