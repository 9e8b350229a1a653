#include "harness/graph/replay_graph.h"

namespace samebits {

void check_copy(const StaticBuffer& to, const at::Tensor& value, std::optional<int64_t> padding) {
  const at::Tensor& memory = to.memory;
  bool fits = value.scalar_type() == memory.scalar_type() && value.dim() == memory.dim();
  for (int64_t d = 0; fits && d < memory.dim(); ++d) fits = value.size(d) <= memory.size(d);
  TORCH_CHECK(fits, to.name, " is ", memory.scalar_type(), " ", memory.sizes(), ", found ",
              value.scalar_type(), " ", value.sizes());
  const bool is_index = memory.scalar_type() == at::kInt || memory.scalar_type() == at::kLong;
  TORCH_CHECK(!padding || is_index, "padding of ", to.name, ": found dtype ",
              memory.scalar_type(), ", expected int32 or int64");
}

}  // namespace samebits
