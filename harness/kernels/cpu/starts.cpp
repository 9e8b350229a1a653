#include "harness/kernels/cpu/starts.h"

#include <c10/util/Exception.h>

#include <algorithm>

#include "harness/kernels/cpu/tensors.h"

namespace samebits {

std::vector<int64_t> checked_starts(const char* op, const std::optional<at::Tensor>& starts,
                                    int64_t tokens) {
  if (!starts) return {0, tokens};
  TORCH_CHECK(starts->dim() == 1 && starts->size(0) >= 1, op, ": starts has shape ",
              starts->sizes(), ", expected [sequences + 1]");
  check_dtype(op, "starts", *starts, at::kInt);
  const at::Tensor contiguous = starts->contiguous();
  const int32_t* first = elements<int32_t>(contiguous);
  std::vector<int64_t> found(first, first + contiguous.numel());
  TORCH_CHECK(found.front() == 0 && found.back() == tokens, op, ": starts goes from ",
              found.front(), " to ", found.back(), ", expected 0 to ", tokens);
  TORCH_CHECK(std::is_sorted(found.begin(), found.end()), op,
              ": starts falls somewhere, expected ascending values");
  return found;
}

}  // namespace samebits
