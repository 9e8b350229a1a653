#include "harness/model/checkpoint.h"

#include <ATen/Functions.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>

#include "harness/core/error.h"
#include "harness/core/file.h"
#include "harness/core/nearest.h"
#include "harness/core/safetensors.h"

namespace samebits {
namespace {

at::ScalarType scalar_type_of(const TensorView& view, const std::string& where) {
  switch (view.dtype) {
    case Dtype::bfloat16:
      return at::kBFloat16;
    case Dtype::float16:
      return at::kHalf;
    case Dtype::float32:
      return at::kFloat;
    case Dtype::float64:
      return at::kDouble;
    default:
      throw InputError(where, std::string(dtype_name(view.dtype)), "a floating-point dtype");
  }
}

// The files that hold the weights, in the order of their names.
std::vector<std::filesystem::path> weight_files(const std::filesystem::path& folder) {
  const std::filesystem::path index = folder / "model.safetensors.index.json";
  if (!std::filesystem::exists(index)) return {folder / "model.safetensors"};
  const nlohmann::json root =
      nlohmann::json::parse(read_text_file(index.string()), nullptr, /*allow_exceptions=*/false);
  if (!root.is_object() || !root.contains("weight_map") || !root["weight_map"].is_object()) {
    throw InputError(index.string() + ": weight_map", "no object", "an object of tensor: file");
  }
  std::set<std::string> names;
  for (const auto& [tensor, file] : root["weight_map"].items()) {
    const std::string name = file.is_string() ? file.get<std::string>() : "";
    // A shard lies in the folder itself: an index must not reach outside it.
    if (name.empty() || name.find('/') != std::string::npos || name == "..") {
      throw InputError(fmt::format("{}: weight_map.{}", index.string(), tensor), file.dump(),
                       "the name of a file in the same folder");
    }
    names.insert(name);
  }
  std::vector<std::filesystem::path> files;
  for (const std::string& name : names) files.push_back(folder / name);
  return files;
}

}  // namespace

Weights load_checkpoint(const std::filesystem::path& folder, const Qwen3Config& config) {
  const auto shapes = qwen3_weight_shapes(config);
  const std::map<std::string, std::vector<int64_t>> expected(shapes.begin(), shapes.end());
  std::vector<std::string> known;
  for (const auto& [name, shape] : shapes) known.push_back(name);

  Weights weights;
  for (const std::filesystem::path& path : weight_files(folder)) {
    const SafetensorsFile file(path.string());
    for (const TensorView& view : file.tensors()) {
      const std::string where = fmt::format("{}: {}", path.string(), view.name);
      if (config.tie_word_embeddings && view.name == "lm_head.weight") continue;
      const auto shape = expected.find(view.name);
      if (shape == expected.end()) {
        throw InputError(where, "a tensor that this model does not have",
                         fmt::format("one of its {} weights, such as {}", shapes.size(),
                                     nearest_word(view.name, known).value_or(known.front())));
      }
      if (view.shape != shape->second) {
        throw InputError(where, fmt::format("shape [{}]", fmt::join(view.shape, ", ")),
                         fmt::format("[{}]", fmt::join(shape->second, ", ")));
      }
      at::Tensor weight = at::empty(view.shape, scalar_type_of(view, where));
      std::memcpy(weight.mutable_data_ptr(), view.data.data(), view.data.size());
      if (!weights.emplace(view.name, std::move(weight)).second) {
        throw InputError(where, "a tensor that another file holds too", "each weight once");
      }
    }
  }
  for (const auto& [name, shape] : shapes) {
    if (weights.count(name) == 0) {
      throw InputError((folder / "model.safetensors").string(), "no tensor " + name,
                       fmt::format("one of shape [{}]", fmt::join(shape, ", ")));
    }
  }
  return weights;
}

}  // namespace samebits
