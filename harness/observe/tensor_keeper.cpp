#include "harness/observe/tensor_keeper.h"

#include <c10/core/GradMode.h>

#include "harness/dtensor/dtensor.h"

namespace samebits {

void TensorKeeper::see(int64_t step, const std::string& phase, const std::string& site,
                       const at::Tensor& value) {
  if (step != place_.step || phase != place_.phase || site != place_.site) return;
  if (seen_++ != place_.occurrence) return;
  const c10::NoGradGuard no_grad;
  const at::Tensor whole = is_dtensor(value) ? full_tensor(value) : value;
  kept_ = whole.detach().cpu().contiguous().clone();  // its memory may be written to again
}

}  // namespace samebits
