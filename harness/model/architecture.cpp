#include "harness/model/architecture.h"

#include <stdexcept>

#include "harness/model/qwen3.h"

namespace samebits {

const std::vector<Architecture>& architectures() {
  static const std::vector<Architecture> all = {
      {"Qwen3ForCausalLM", make_qwen3, qwen3_weight_shapes, qwen3_site_of_weight},
  };
  return all;
}

const Architecture& architecture_of(const DecoderConfig& config) {
  for (const Architecture& each : architectures()) {
    if (each.name == config.architecture) return each;
  }
  throw std::logic_error("no architecture " + config.architecture);
}

}  // namespace samebits
