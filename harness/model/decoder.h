#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
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

// What a backward adds the gradients of a model's weights to (kernels/step_gradient.h): float32, of
// the weights' shapes and placements.
struct WeightSums {
  std::vector<at::Tensor> parameters;  // in their order
  at::Tensor tied_head;  // of the embedding as the head that it is too; undefined: it is not
};

// Where the gradients of one call go. Borrows the sums.
struct Gradients {
  const WeightSums& sums;
  at::Tensor starts;      // int32 [G, S + 1]: where groups' sequences begin among the tokens
  at::Tensor row_starts;  // the same among those whose logits are wanted
};

// Whole plain weights by their name in the checkpoint.
using Weights = std::map<std::string, at::Tensor>;

// A decoder-only language model as the trainer, the engine, the optimizer and the weight sync use
// one; model/architecture.h chooses it. Its structure is const after construction; its parameters
// change only through the optimizer and weight sync.
//
// The vocabulary is padded with rows of zeros to a multiple of Numerics::kSlices, so that it splits
// evenly at every TP degree; logits have padded_vocab() columns, of which vocab_size count.
class Decoder {
 public:
  virtual ~Decoder() = default;
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;

  // ids and positions: int64 [1, T], plain. `rows` (int64 [R]) names the tokens whose logits are
  // wanted; undefined: all. Returns plain logits [1, R or T, padded_vocab()] of the model's dtype.
  // With `gradients`, those of contract operators go there and not to autograd.
  at::Tensor forward(const at::Tensor& ids, const at::Tensor& positions, const Attention& attention,
                     const at::Tensor& rows = {}, const Gradients* gradients = nullptr) const {
    return logits(ids, positions, attention, rows, gradients);
  }

  const DecoderConfig& config() const { return config_; }
  const Numerics& numerics() const { return numerics_; }
  const TensorParallel& parallel() const { return parallel_; }
  int64_t padded_vocab() const;
  double attention_scale() const;

  // Every parameter once, in the order of the checkpoint's definition; a tied head is not repeated.
  std::vector<Parameter>& parameters() { return parameters_; }
  const std::vector<Parameter>& parameters() const { return parameters_; }
  // The one that is the embedding and the head, where a model has such a one.
  virtual std::optional<size_t> tied_parameter() const = 0;
  const RopeTable& rope() const { return rope_; }
  c10::Device device() const { return rope_.cos.device(); }

 protected:
  Decoder(const DecoderConfig& config, const Numerics& numerics, const TensorParallel& parallel,
          c10::Device device);

  virtual at::Tensor logits(const at::Tensor& ids, const at::Tensor& positions,
                            const Attention& attention, const at::Tensor& rows,
                            const Gradients* gradients) const = 0;

  // Copies a whole weight, splits it as tensor parallelism does, and returns its index. Of the
  // vocabulary, its rows are padded.
  size_t add_parameter(const Weights& weights, const std::string& name, const std::string& site,
                       std::optional<int64_t> shard_dim, bool is_vocabulary = false);
  const at::Tensor& weight(size_t index) const { return parameters_[index].tensor; }

  // Where the gradient of a weight goes that all tokens are multiplied with; nowhere without
  // `gradients`.
  static WeightGradient gradient_of(size_t index, const Gradients* gradients);

 private:
  DecoderConfig config_;
  Numerics numerics_;
  TensorParallel parallel_;
  RopeTable rope_;
  std::vector<Parameter> parameters_;
};

}  // namespace samebits
