#include "harness/graph/replay_graph.h"

namespace samebits {

void check_copy(const StaticBuffer& to, const at::Tensor& value, std::optional<int64_t> padding) {
  const at::Tensor& memory = to.memory;
  bool fits = value.scalar_type() == memory.scalar_type() && value.dim() == memory.dim();
  for (int64_t d = 0; fits && d < memory.dim(); ++d) fits = value.size(d) <= memory.size(d);
  TORCH_CHECK(fits, to.name, " is ", memory.scalar_type(), " ", memory.sizes(), ", found ",
              value.scalar_type(), " ", value.sizes());
  const at::ScalarType dtype = memory.scalar_type();
  const bool can_be_padded = dtype == at::kInt || dtype == at::kLong || dtype == at::kFloat;
  TORCH_CHECK(!padding || can_be_padded, "padding of ", to.name, ": found dtype ", dtype,
              ", expected int32, int64 or float32");
}

}  // namespace samebits
