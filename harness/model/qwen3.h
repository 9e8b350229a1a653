#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "harness/model/decoder.h"

namespace samebits {

// Qwen3, dense (transformers, models/qwen3/modeling_qwen3.py), under the tensor-parallel plan of
// torchtitan: sequence-parallel norms, column-wise wq wk wv w1 w3 and head, row-wise wo w2 and
// embedding. One definition for the trainer, the engine and every arm.
class Qwen3 : public Decoder {
 public:
  // As of Architecture::make.
  Qwen3(const DecoderConfig& config, const Numerics& numerics, const TensorParallel& parallel,
        const Weights& weights);

  std::optional<size_t> tied_parameter() const override;

 private:
  // Indices into parameters_; the names of what each layer observes, made once.
  struct Layer {
    size_t attention_norm, wq, wk, wv, q_norm, k_norm, wo, ffn_norm, w1, w3, w2;
    std::string prefix;
  };

  at::Tensor logits(const at::Tensor& ids, const at::Tensor& positions, const Attention& attention,
                    const at::Tensor& rows, const Gradients* gradients) const override;
  at::Tensor attention_block(const Layer& layer, int64_t index, const at::Tensor& x,
                             const at::Tensor& positions, const Attention& attention,
                             const Gradients* gradients) const;
  at::Tensor feed_forward_block(const Layer& layer, const at::Tensor& x,
                                const Gradients* gradients) const;
  at::Tensor heads(const at::Tensor& x, int64_t count) const;  // [1, T, count, D]
  at::Tensor norm(const at::Tensor& x, size_t index, const std::string& site,
                  const Gradients* gradients) const;
  at::Tensor norm_and_rotate(const at::Tensor& x, size_t norm_index, const at::Tensor& positions,
                             const std::string& name, const Gradients* gradients) const;
  at::Tensor column(const at::Tensor& x, size_t projection, const std::string& site,
                    const WeightGradient& into) const;
  at::Tensor row(const at::Tensor& x, size_t projection, const std::string& site,
                 const WeightGradient& into) const;
  WeightGradient gradient_of_head(const Gradients* gradients) const;

  std::vector<Layer> layers_;
  size_t embedding_ = 0;
  size_t norm_ = 0;
  size_t head_ = 0;
};

// What Architecture asks of it.
std::unique_ptr<Decoder> make_qwen3(const DecoderConfig& config, const Numerics& numerics,
                                    const TensorParallel& parallel, const Weights& weights);
std::vector<std::pair<std::string, std::vector<int64_t>>> qwen3_weight_shapes(
    const DecoderConfig& config);
std::string qwen3_site_of_weight(const std::string& name);

}  // namespace samebits
