#pragma once

#include <string>
#include <vector>

namespace samebits {

// The names in config.json's `architectures` that samebits has a definition of (architecture.h),
// each with other names for the same: the base model's stands in folders of embedding models. No
// torch, so that reading a config needs none.
inline const std::vector<std::vector<std::string>>& architecture_names() {
  static const std::vector<std::vector<std::string>> names = {{"Qwen3ForCausalLM", "Qwen3Model"}};
  return names;
}

}  // namespace samebits
