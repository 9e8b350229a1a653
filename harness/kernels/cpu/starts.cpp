#include "harness/kernels/cpu/starts.h"

#include <c10/util/Exception.h>

#include <algorithm>
#include <bit>
#include <utility>

#include "harness/kernels/cpu/rowwise.h"
#include "harness/kernels/cpu/tensors.h"
#include "harness/kernels/step_gradient.h"

namespace samebits {

std::vector<std::vector<int64_t>> checked_groups(const char* op,
                                                 const std::optional<at::Tensor>& starts,
                                                 int64_t tokens) {
  if (!starts) return {{0, tokens}};
  TORCH_CHECK((starts->dim() == 1 || starts->dim() == 2) && starts->size(-1) >= 1, op,
              ": starts has shape ", starts->sizes(), ", expected [sequences + 1] or [groups, ",
              "sequences + 1]");
  const int64_t groups = starts->dim() == 1 ? 1 : starts->size(0);
  TORCH_CHECK(groups >= 1 && std::has_single_bit(static_cast<uint64_t>(groups)), op,
              ": starts has ", groups, " groups, expected a power of two");
  check_dtype(op, "starts", *starts, at::kInt);
  const at::Tensor contiguous = starts->contiguous();
  const int32_t* first = elements<int32_t>(contiguous);
  const std::vector<int64_t> found(first, first + contiguous.numel());
  TORCH_CHECK(found.front() == 0 && found.back() == tokens, op, ": starts goes from ",
              found.front(), " to ", found.back(), ", expected 0 to ", tokens);
  TORCH_CHECK(std::is_sorted(found.begin(), found.end()), op,
              ": starts falls somewhere, expected ascending values");
  std::vector<std::vector<int64_t>> rows;
  const int64_t width = starts->size(-1);
  for (int64_t g = 0; g < groups; ++g) {
    const auto row = found.begin() + g * width;
    TORCH_CHECK(g == 0 || *row == *(row - 1), op, ": starts of group ", g, " begin at ", *row,
                ", expected ", *(row - 1), ", where the group before ends");
    rows.emplace_back(row, row + width);
  }
  return rows;
}

std::vector<int64_t> checked_starts(const char* op, const std::optional<at::Tensor>& starts,
                                    int64_t tokens) {
  TORCH_CHECK(!starts || starts->dim() == 1, op, ": starts has shape ", starts->sizes(),
              ", expected [sequences + 1]");
  return checked_groups(op, starts, tokens)[0];
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
