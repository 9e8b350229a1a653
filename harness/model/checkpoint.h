#pragma once

#include <filesystem>

#include "harness/model/qwen3.h"

namespace samebits {

// Reads the weights of a Hugging Face folder: model.safetensors, or the shards that
// model.safetensors.index.json names. Returns plain tensors of the checkpoint's own dtype, copied
// out of the files. Throws InputError for a missing, extra or misshapen tensor and a dtype that is
// not floating point. A tied model may also hold its head; it is then not read.
Weights load_checkpoint(const std::filesystem::path& folder, const DecoderConfig& config);

}  // namespace samebits
