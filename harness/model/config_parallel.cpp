#include <fmt/format.h>

#include "harness/base/error.h"
#include "harness/model/config.h"
#include "harness/model/numerics.h"

namespace samebits {

void check_tensor_parallel(const DecoderConfig& config, int64_t tp, bool tp_invariant) {
  const auto divides = [](const char* key, int64_t size, int64_t by, const char* what) {
    if (size % by != 0) {
      throw InputError(fmt::format("config.json: {}", key), std::to_string(size),
                       fmt::format("a multiple of {} ({})", by, what));
    }
  };
  divides("num_attention_heads", config.num_attention_heads, tp, "mesh.tp");
  divides("num_key_value_heads", config.num_key_value_heads, tp, "mesh.tp");
  divides("intermediate_size", config.intermediate_size, tp, "mesh.tp");
  if (!tp_invariant) return;
  if (Numerics::kSlices % tp != 0) {
    throw InputError("mesh.tp", std::to_string(tp), "1, 2, 4 or 8, as numerics.tp_invariant asks");
  }
  const char* slices = "the K-slices of numerics.tp_invariant";
  divides("num_attention_heads * head_dim", config.q_size(), Numerics::kSlices, slices);
  divides("num_key_value_heads * head_dim", config.kv_size(), Numerics::kSlices, slices);
  divides("intermediate_size", config.intermediate_size, Numerics::kSlices, slices);
}

}  // namespace samebits
