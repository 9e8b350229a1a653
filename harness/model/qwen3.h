#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "harness/model/attention.h"
#include "harness/model/config.h"
#include "harness/model/numerics.h"
#include "harness/model/rope.h"
#include "harness/model/tensor_parallel.h"

namespace samebits {

// A weight with its names and the dimension that tensor parallelism splits.
struct Parameter {
  std::string name;  // in the checkpoint: "model.layers.3.self_attn.o_proj.weight"
  std::string site;  // in a stream, as its operator is called: "layers.3.attention.wo.weight"
  at::Tensor tensor;
  std::optional<int64_t> shard_dim;
};

// Whole plain weights by their name in the checkpoint.
using Weights = std::map<std::string, at::Tensor>;

// Qwen3, dense (transformers, models/qwen3/modeling_qwen3.py), under the tensor-parallel plan of
// torchtitan: sequence-parallel norms, column-wise wq wk wv w1 w3 and head, row-wise wo w2 and
// embedding. One definition for the trainer, the engine and every arm. Its structure is const after
// construction; its parameters change only through the optimizer and weight sync.
//
// The vocabulary is padded with rows of zeros to a multiple of Numerics::kSlices, so that it splits
// evenly at every TP degree; logits have padded_vocab() columns, of which vocab_size count.
class Qwen3 {
 public:
  // Copies `weights`; shapes were checked by the loader. The model is on the device that they are.
  Qwen3(const Qwen3Config& config, const Numerics& numerics, const TensorParallel& parallel,
        const Weights& weights);

  // ids and positions: int64 [1, T], plain. `rows` (int64 [R]) names the tokens whose logits are
  // wanted; undefined: all. Returns plain logits [1, R or T, padded_vocab()] of the model's dtype.
  at::Tensor forward(const at::Tensor& ids, const at::Tensor& positions, const Attention& attention,
                     const at::Tensor& rows = {}) const;

  const Qwen3Config& config() const { return config_; }
  const Numerics& numerics() const { return numerics_; }
  const TensorParallel& parallel() const { return parallel_; }
  int64_t padded_vocab() const;
  double attention_scale() const;

  // Every parameter once, in the order of the checkpoint's definition; a tied head is not repeated.
  std::vector<Parameter>& parameters() { return parameters_; }
  const std::vector<Parameter>& parameters() const { return parameters_; }
  const RopeTable& rope() const { return rope_; }
  c10::Device device() const { return rope_.cos.device(); }

 private:
  // Indices into parameters_; the names of what each layer observes, made once.
  struct Layer {
    size_t attention_norm, wq, wk, wv, q_norm, k_norm, wo, ffn_norm, w1, w3, w2;
    std::string prefix;
  };

  const at::Tensor& weight(size_t index) const { return parameters_[index].tensor; }
  at::Tensor attention_block(const Layer& layer, int64_t index, const at::Tensor& x,
                             const at::Tensor& positions, const Attention& attention) const;
  at::Tensor feed_forward_block(const Layer& layer, const at::Tensor& x) const;
  at::Tensor heads(const at::Tensor& x, int64_t count) const;  // [1, T, count, D]
  at::Tensor norm_and_rotate(const at::Tensor& x, size_t norm, const at::Tensor& positions,
                             const std::string& name) const;
  at::Tensor column(const at::Tensor& x, size_t projection, const std::string& site) const;
  at::Tensor row(const at::Tensor& x, size_t projection, const std::string& site) const;

  Qwen3Config config_;
  Numerics numerics_;
  TensorParallel parallel_;
  RopeTable rope_;
  std::vector<Parameter> parameters_;
  std::vector<Layer> layers_;
  size_t embedding_ = 0;
  size_t norm_ = 0;
  size_t head_ = 0;
};

// Every weight that a checkpoint of this configuration holds, with its shape.
std::vector<std::pair<std::string, std::vector<int64_t>>> qwen3_weight_shapes(
    const Qwen3Config& config);

// The site of a weight of that list: "layers.3.attention.wo.weight" of
// "model.layers.3.self_attn.o_proj.weight".
std::string site_of_weight(const std::string& name);

}  // namespace samebits
