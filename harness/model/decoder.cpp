#include "harness/model/decoder.h"

#include <ATen/ATen.h>

#include <cmath>

namespace samebits {
namespace {

// Rows of zeros up to the next multiple of the K-slices.
at::Tensor padded_rows(const at::Tensor& weight) {
  const int64_t rows = weight.size(0);
  const int64_t padding = (Numerics::kSlices - rows % Numerics::kSlices) % Numerics::kSlices;
  if (padding == 0) return weight;
  return at::cat({weight, at::zeros({padding, weight.size(1)}, weight.options())});
}

}  // namespace

Decoder::Decoder(const DecoderConfig& config, const Numerics& numerics,
                 const TensorParallel& parallel, c10::Device device)
    : config_(config),
      numerics_(numerics),
      parallel_(parallel),
      rope_(make_rope_table(config.max_position_embeddings, config.head_dim, config.rope_theta)) {
  rope_ = {rope_.cos.to(device), rope_.sin.to(device)};
}

size_t Decoder::add_parameter(const Weights& weights, const std::string& name,
                              const std::string& site, std::optional<int64_t> shard_dim,
                              bool is_vocabulary) {
  // A copy: two models built of the same weights must not share them.
  at::Tensor whole =
      weights.at(name).detach().to(numerics_.dtype, /*non_blocking=*/false, /*copy=*/true);
  if (is_vocabulary) whole = padded_rows(whole);
  parameters_.push_back({name, site,
                         shard_dim ? parallel_.distribute_shard(whole, *shard_dim)
                                   : parallel_.distribute_replicate(whole),
                         shard_dim});
  return parameters_.size() - 1;
}

WeightGradient Decoder::gradient_of(size_t index, const Gradients* gradients) {
  if (gradients == nullptr) return {};
  return {gradients->sums.parameters.at(index), gradients->starts};
}

int64_t Decoder::padded_vocab() const {
  return (config_.vocab_size + Numerics::kSlices - 1) / Numerics::kSlices * Numerics::kSlices;
}

double Decoder::attention_scale() const {
  return 1.0 / std::sqrt(static_cast<double>(config_.head_dim));
}

}  // namespace samebits
