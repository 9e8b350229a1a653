#include "harness/model/qwen3.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <cmath>
#include <stdexcept>
#include <string_view>
#include <utility>

#include "harness/kernels/functional.h"

namespace samebits {
namespace {

constexpr int64_t kSequenceDim = 1;  // of [1, T, C]
constexpr int64_t kFeatureDim = 2;   // of [1, T, features]; of [1, T, heads, D]: the heads

at::Tensor observed(const at::Tensor& x, const std::string& site) {
  ops::mark(x, site);
  return x;
}

// One operator, where to() would be a family of them to a tracer.
at::Tensor rounded(const at::Tensor& x, at::ScalarType dtype) {
  return x.scalar_type() == dtype ? x : at::_to_copy(x, x.options().dtype(dtype));
}

// A layer's weights: in a checkpoint, and as their operators are called.
constexpr std::pair<std::string_view, std::string_view> kSitesOfLayer[] = {
    {"input_layernorm", "attention_norm"},    {"self_attn.q_proj", "attention.wq"},
    {"self_attn.k_proj", "attention.wk"},     {"self_attn.v_proj", "attention.wv"},
    {"self_attn.q_norm", "attention.q_norm"}, {"self_attn.k_norm", "attention.k_norm"},
    {"self_attn.o_proj", "attention.wo"},     {"post_attention_layernorm", "ffn_norm"},
    {"mlp.gate_proj", "feed_forward.w1"},     {"mlp.up_proj", "feed_forward.w3"},
    {"mlp.down_proj", "feed_forward.w2"}};

}  // namespace

std::string qwen3_site_of_weight(const std::string& name) {
  if (name == "model.embed_tokens.weight") return "tok_embeddings.weight";
  if (name == "model.norm.weight") return "norm.weight";
  if (name == "lm_head.weight") return "output.weight";
  const size_t layer = std::string_view("model.").size();
  const size_t within = name.find('.', name.find('.', layer) + 1) + 1;  // after "layers.3."
  for (const auto& [of_checkpoint, site] : kSitesOfLayer) {
    if (name.substr(within) == std::string(of_checkpoint) + ".weight") {
      return name.substr(layer, within - layer) + std::string(site) + ".weight";
    }
  }
  throw std::logic_error("no weight of Qwen3: " + name);
}

std::vector<std::pair<std::string, std::vector<int64_t>>> qwen3_weight_shapes(
    const DecoderConfig& config) {
  std::vector<std::pair<std::string, std::vector<int64_t>>> shapes;
  const int64_t hidden = config.hidden_size;
  shapes.push_back({"model.embed_tokens.weight", {config.vocab_size, hidden}});
  for (int64_t i = 0; i < config.num_hidden_layers; ++i) {
    const auto add = [&](const char* name, std::vector<int64_t> shape) {
      shapes.push_back({fmt::format("model.layers.{}.{}.weight", i, name), std::move(shape)});
    };
    add("input_layernorm", {hidden});
    add("self_attn.q_proj", {config.q_size(), hidden});
    add("self_attn.k_proj", {config.kv_size(), hidden});
    add("self_attn.v_proj", {config.kv_size(), hidden});
    add("self_attn.q_norm", {config.head_dim});
    add("self_attn.k_norm", {config.head_dim});
    add("self_attn.o_proj", {hidden, config.q_size()});
    add("post_attention_layernorm", {hidden});
    add("mlp.gate_proj", {config.intermediate_size, hidden});
    add("mlp.up_proj", {config.intermediate_size, hidden});
    add("mlp.down_proj", {hidden, config.intermediate_size});
  }
  shapes.push_back({"model.norm.weight", {hidden}});
  if (!config.tie_word_embeddings) {
    shapes.push_back({"lm_head.weight", {config.vocab_size, hidden}});
  }
  return shapes;
}

std::unique_ptr<Decoder> make_qwen3(const DecoderConfig& config, const Numerics& numerics,
                                    const TensorParallel& parallel, const Weights& weights) {
  return std::make_unique<Qwen3>(config, numerics, parallel, weights);
}

Qwen3::Qwen3(const DecoderConfig& config, const Numerics& numerics, const TensorParallel& parallel,
             const Weights& weights)
    : Decoder(config, numerics, parallel, weights.at("model.embed_tokens.weight").device()) {
  const auto add = [&](const std::string& name, std::optional<int64_t> shard_dim,
                       bool is_vocabulary = false) {
    return add_parameter(weights, name, qwen3_site_of_weight(name), shard_dim, is_vocabulary);
  };
  embedding_ = add("model.embed_tokens.weight", 0, /*is_vocabulary=*/true);
  for (int64_t i = 0; i < config.num_hidden_layers; ++i) {
    const auto layer_weight = [&](const char* name, std::optional<int64_t> shard_dim) {
      return add(fmt::format("model.layers.{}.{}.weight", i, name), shard_dim);
    };
    Layer layer;
    layer.prefix = fmt::format("layers.{}.", i);
    layer.attention_norm = layer_weight("input_layernorm", std::nullopt);
    layer.wq = layer_weight("self_attn.q_proj", 0);
    layer.wk = layer_weight("self_attn.k_proj", 0);
    layer.wv = layer_weight("self_attn.v_proj", 0);
    layer.q_norm = layer_weight("self_attn.q_norm", std::nullopt);
    layer.k_norm = layer_weight("self_attn.k_norm", std::nullopt);
    layer.wo = layer_weight("self_attn.o_proj", 1);
    layer.ffn_norm = layer_weight("post_attention_layernorm", std::nullopt);
    layer.w1 = layer_weight("mlp.gate_proj", 0);
    layer.w3 = layer_weight("mlp.up_proj", 0);
    layer.w2 = layer_weight("mlp.down_proj", 1);
    layers_.push_back(std::move(layer));
  }
  norm_ = add("model.norm.weight", std::nullopt);
  head_ =
      config.tie_word_embeddings ? embedding_ : add("lm_head.weight", 0, /*is_vocabulary=*/true);
}

std::optional<size_t> Qwen3::tied_parameter() const {
  return head_ == embedding_ ? std::optional(embedding_) : std::nullopt;
}

at::Tensor Qwen3::logits(const at::Tensor& ids, const at::Tensor& positions,
                         const Attention& attention, const at::Tensor& rows,
                         const Gradients* gradients) const {
  WeightGradient of_embedding = gradient_of(embedding_, gradients);
  WeightGradient of_head = gradient_of_head(gradients);
  if (gradients != nullptr && head_ == embedding_) {
    of_embedding.tied = of_head.tied = c10::List<at::Tensor>();
  }
  at::Tensor x = numerics().embedding(ids, weight(embedding_), of_embedding);
  x = observed(parallel().to_shard(x, kSequenceDim), "tok_embeddings#0");
  for (size_t i = 0; i < layers_.size(); ++i) {
    x = attention_block(layers_[i], static_cast<int64_t>(i), x, positions, attention, gradients);
    x = feed_forward_block(layers_[i], x, gradients);
  }
  x = parallel().to_replicate(norm(x, norm_, "norm#0", gradients));
  if (rows.defined()) x = x.index_select(kSequenceDim, rows);
  return parallel().to_plain(observed(numerics().head(x, weight(head_), of_head), "output#0"));
}

WeightGradient Qwen3::gradient_of_head(const Gradients* gradients) const {
  if (gradients == nullptr) return {};
  const WeightSums& sums = gradients->sums;
  return {head_ == embedding_ ? sums.tied_head : sums.parameters[head_], gradients->row_starts};
}

at::Tensor Qwen3::attention_block(const Layer& layer, int64_t index, const at::Tensor& x,
                                  const at::Tensor& positions, const Attention& attention,
                                  const Gradients* gradients) const {
  const std::string prefix = layer.prefix + "attention.";
  const at::Tensor h = parallel().to_replicate(
      norm(x, layer.attention_norm, layer.prefix + "attention_norm#0", gradients));
  const auto projected = [&](size_t projection, const char* site, int64_t count) {
    return heads(column(h, projection, prefix + site, gradient_of(projection, gradients)), count);
  };
  at::Tensor q = projected(layer.wq, "wq#0", config().num_attention_heads);
  at::Tensor k = projected(layer.wk, "wk#0", config().num_key_value_heads);
  const at::Tensor v = projected(layer.wv, "wv#0", config().num_key_value_heads);
  q = norm_and_rotate(q, layer.q_norm, positions, prefix + "q", gradients);
  k = norm_and_rotate(k, layer.k_norm, positions, prefix + "k", gradients);

  const std::vector<at::Tensor> qs = parallel().to_local(q);
  const std::vector<at::Tensor> ks = parallel().to_local(k);
  const std::vector<at::Tensor> vs = parallel().to_local(v);
  std::vector<at::Tensor> outs;
  for (size_t rank = 0; rank < qs.size(); ++rank) {
    const at::Tensor out =
        attention.forward(index, static_cast<int64_t>(rank), qs[rank], ks[rank], vs[rank]);
    outs.push_back(
        out.view_symint({1, out.sym_size(kSequenceDim), config().q_size() / parallel().size()}));
  }
  const at::Tensor inner =
      observed(parallel().from_local_shard(std::move(outs), kFeatureDim), prefix + "inner#0");
  const at::Tensor out = row(inner, layer.wo, prefix + "wo#0", gradient_of(layer.wo, gradients));
  return observed(numerics().residual_add(x, out), layer.prefix + "attention_residual#0");
}

at::Tensor Qwen3::heads(const at::Tensor& x, int64_t count) const {
  return x.view_symint({1, x.sym_size(kSequenceDim), count, config().head_dim});
}

at::Tensor Qwen3::norm(const at::Tensor& x, size_t index, const std::string& site,
                       const Gradients* gradients) const {
  return observed(
      numerics().rms_norm(x, weight(index), config().rms_norm_eps, gradient_of(index, gradients)),
      site);
}

at::Tensor Qwen3::norm_and_rotate(const at::Tensor& x, size_t norm_index,
                                  const at::Tensor& positions, const std::string& name,
                                  const Gradients* gradients) const {
  const at::Tensor normed = norm(x, norm_index, name + "_norm#0", gradients);
  return observed(numerics().rope(normed, rope().cos, rope().sin, positions), name + "_rope#0");
}

at::Tensor Qwen3::feed_forward_block(const Layer& layer, const at::Tensor& x,
                                     const Gradients* gradients) const {
  const std::string prefix = layer.prefix + "feed_forward.";
  const at::Tensor h =
      parallel().to_replicate(norm(x, layer.ffn_norm, layer.prefix + "ffn_norm#0", gradients));
  const at::Tensor gate = column(h, layer.w1, prefix + "w1#0", gradient_of(layer.w1, gradients));
  const at::Tensor up = column(h, layer.w3, prefix + "w3#0", gradient_of(layer.w3, gradients));
  const at::Tensor product = observed(numerics().silu_mul(gate, up), prefix + "silu_mul#0");
  const at::Tensor out = row(product, layer.w2, prefix + "w2#0", gradient_of(layer.w2, gradients));
  return observed(numerics().residual_add(x, out), layer.prefix + "ffn_residual#0");
}

at::Tensor Qwen3::column(const at::Tensor& x, size_t projection, const std::string& site,
                         const WeightGradient& into) const {
  const at::Tensor& w = weight(projection);
  return observed(
      numerics().linear(x, w, LinearStyle::kColumn, w.size(1), w.size(0), RowSum::kPending, into),
      site);
}

at::Tensor Qwen3::row(const at::Tensor& x, size_t projection, const std::string& site,
                      const WeightGradient& into) const {
  const at::Tensor& w = weight(projection);
  // A sum that is still pending across ranks is float32: reduced first, rounded once.
  const RowSum sum = parallel().mesh() ? RowSum::kPending : RowSum::kWhole;
  const at::Tensor y = numerics().linear(x, w, LinearStyle::kRow, w.size(1), w.size(0), sum, into);
  return observed(rounded(parallel().to_shard(y, kSequenceDim), numerics().dtype), site);
}

}  // namespace samebits
