#include "harness/model/checkpoint.h"

#include <ATen/Functions.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>
#include <deque>
#include <map>
#include <optional>

#include "harness/base/error.h"
#include "harness/base/nearest.h"
#include "harness/bits/safetensors.h"
#include "harness/folder/model_files.h"
#include "harness/model/architecture.h"

namespace samebits {
namespace {

constexpr std::string_view kEmbedding = "model.embed_tokens.weight";
constexpr std::string_view kHead = "lm_head.weight";
constexpr std::string_view kPrefix = "model.";

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

// A tensor of a file, under the name that the model gives it.
struct StoredTensor {
  std::string name;
  std::string where;
  const TensorView* view;
};

class CheckpointReader {
 public:
  explicit CheckpointReader(const DecoderConfig& config)
      : config_(config),
        shapes_(architecture_of(config).weight_shapes(config)),
        by_name_(shapes_.begin(), shapes_.end()) {}

  void read(const SafetensorsFile& file) {
    for (const TensorView& view : file.tensors()) {
      put({name_of(view.name), fmt::format("{}: {}", file.path(), view.name), &view});
    }
  }

  // Throws InputError, naming `where`, for a weight that no file held.
  Weights take(const std::string& where) {
    for (const auto& [name, shape] : shapes_) {
      if (!weights_.contains(name)) {
        throw InputError(where, "no tensor " + name,
                         fmt::format("one of shape [{}]", fmt::join(shape, ", ")));
      }
    }
    check_tied_head();
    return std::move(weights_);
  }

 private:
  // A backbone alone, as embedding models are, is stored without the prefix; Transformers reads
  // both.
  std::string name_of(const std::string& stored) const {
    const std::string prefixed = std::string(kPrefix) + stored;
    return !by_name_.contains(stored) && by_name_.contains(prefixed) ? prefixed : stored;
  }

  void put(const StoredTensor& stored) {
    const bool is_tied_head = config_.tie_word_embeddings && stored.name == kHead;
    if (weights_.contains(stored.name) || (is_tied_head && tied_head_)) {
      throw InputError(stored.where, "a tensor that another file holds too", "each weight once");
    }
    if (is_tied_head) {
      tied_head_ = stored;
      return;
    }
    check(stored);
    at::Tensor weight = at::empty(stored.view->shape, scalar_type_of(*stored.view, stored.where));
    std::memcpy(weight.mutable_data_ptr(), stored.view->data.data(), stored.view->data.size());
    weights_.emplace(stored.name, std::move(weight));
    if (stored.name == kEmbedding) embedding_ = stored;
  }

  void check(const StoredTensor& stored) const {
    const auto shape = by_name_.find(stored.name);
    if (shape == by_name_.end()) {
      std::vector<std::string> known;
      for (const auto& [name, unused] : shapes_) known.push_back(name);
      throw InputError(stored.where, "a tensor that this model does not have",
                       fmt::format("one of its {} weights, such as {}", shapes_.size(),
                                   nearest_word(stored.name, known).value_or(known.front())));
    }
    if (stored.view->shape != shape->second) {
      throw InputError(stored.where, fmt::format("shape [{}]", fmt::join(stored.view->shape, ", ")),
                       fmt::format("[{}]", fmt::join(shape->second, ", ")));
    }
  }

  // A tied model computes with the embedding. A head of its own would be dropped without a word.
  void check_tied_head() const {
    if (!tied_head_) return;
    const TensorView& head = *tied_head_->view;
    const TensorView& embedding = *embedding_->view;
    const bool is_same = head.dtype == embedding.dtype && head.shape == embedding.shape &&
                         std::equal(head.data.begin(), head.data.end(), embedding.data.begin());
    if (!is_same) {
      throw InputError(tied_head_->where, "a head that is not the embedding",
                       "its bits, since config.json says tie_word_embeddings, or no such tensor");
    }
  }

  const DecoderConfig& config_;
  const std::vector<std::pair<std::string, std::vector<int64_t>>> shapes_;
  const std::map<std::string, std::vector<int64_t>> by_name_;
  Weights weights_;
  std::optional<StoredTensor> embedding_, tied_head_;
};

}  // namespace

Weights load_checkpoint(const std::filesystem::path& folder, const DecoderConfig& config) {
  std::deque<SafetensorsFile> files;
  for (const std::filesystem::path& path : weight_files(folder)) files.emplace_back(path.string());
  CheckpointReader reader(config);
  for (const SafetensorsFile& file : files) reader.read(file);
  return reader.take(files.front().path());
}

}  // namespace samebits
