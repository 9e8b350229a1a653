#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "harness/model/decoder.h"

namespace samebits {

// An architecture that samebits has a definition of.
struct Architecture {
  std::string name;  // the first of its names (architecture_names.h)
  // Copies `weights`; shapes were checked by the loader. The model is on the device that they are.
  std::unique_ptr<Decoder> (*make)(const DecoderConfig& config, const Numerics& numerics,
                                   const TensorParallel& parallel, const Weights& weights);
  // Every weight that a checkpoint of this configuration holds, with its shape.
  std::vector<std::pair<std::string, std::vector<int64_t>>> (*weight_shapes)(
      const DecoderConfig& config);
  // The site of a weight of that list: "layers.3.attention.wo.weight" of
  // "model.layers.3.self_attn.o_proj.weight".
  std::string (*site_of_weight)(const std::string& name);
};

const std::vector<Architecture>& architectures();

// Of the name that the config was read with.
const Architecture& architecture_of(const DecoderConfig& config);

}  // namespace samebits
