#include "harness/kernels/cpu/starts.h"

#include <c10/util/Exception.h>

#include <algorithm>
#include <bit>
#include <utility>

#include "harness/kernels/cpu/rowwise.h"
#include "harness/kernels/cpu/tensors.h"
#include "harness/kernels/step_gradient.h"

namespace samebits {

at::Tensor contiguous_starts(const std::optional<at::Tensor>& starts) {
  return starts ? starts->contiguous() : at::Tensor();
}

Starts starts_of(const char* op, const at::Tensor& starts, int64_t tokens) {
  if (!starts.defined()) return {nullptr, 1, 2, tokens};
  TORCH_CHECK((starts.dim() == 1 || starts.dim() == 2) && starts.size(-1) >= 1, op,
              ": starts has shape ", starts.sizes(), ", expected [sequences + 1] or [groups, ",
              "sequences + 1]");
  const int64_t groups = starts.dim() == 1 ? 1 : starts.size(0);
  TORCH_CHECK(groups >= 1 && std::has_single_bit(static_cast<uint64_t>(groups)), op,
              ": starts has ", groups, " groups, expected a power of two");
  check_dtype(op, "starts", starts, at::kInt);
  return {elements<int32_t>(starts), groups, starts.size(-1), tokens};
}

std::vector<std::vector<int64_t>> checked_groups(const char* op, const Starts& starts) {
  if (starts.values == nullptr) return {{0, starts.tokens}};
  const std::vector<int64_t> found(starts.values, starts.values + starts.groups * starts.width);
  TORCH_CHECK(found.front() == 0 && found.back() <= starts.tokens, op, ": starts goes from ",
              found.front(), " to ", found.back(), ", expected 0 to at most ", starts.tokens);
  TORCH_CHECK(std::is_sorted(found.begin(), found.end()), op,
              ": starts falls somewhere, expected ascending values");
  std::vector<std::vector<int64_t>> rows;
  for (int64_t g = 0; g < starts.groups; ++g) {
    const auto row = found.begin() + g * starts.width;
    TORCH_CHECK(g == 0 || *row == *(row - 1), op, ": starts of group ", g, " begin at ", *row,
                ", expected ", *(row - 1), ", where the group before ends");
    rows.emplace_back(row, row + starts.width);
  }
  return rows;
}

void GroupTree::add(std::vector<float> sum) {
  for (int joins = joins_after_group(group_++); joins > 0; --joins) {
    const std::vector<float>& other = waiting_.back();
    for (size_t i = 0; i < sum.size(); ++i) sum[i] = sum[i] + other[i];
    waiting_.pop_back();
  }
  waiting_.push_back(std::move(sum));
}

void GroupTree::write(float* to) const {
  for (const float value : waiting_.at(0)) *to++ = canonical_nan_f32(value);
}

}  // namespace samebits
