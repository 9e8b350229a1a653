#include "harness/workload/generator_graph.h"

#include <fmt/format.h>

#include <utility>
#include <vector>

#include "harness/base/file.h"
#include "harness/capture/graph_file.h"

namespace samebits {
namespace {

// Everything that a generator's graph may hold as a constant, by name.
std::vector<std::pair<std::string, at::Tensor>> named_constants(const Decoder& model,
                                                                const KvCache& cache) {
  std::vector<std::pair<std::string, at::Tensor>> constants;
  for (const Parameter& parameter : model.parameters()) {
    constants.emplace_back(parameter.name, parameter.tensor);
  }
  constants.emplace_back("rope.cos", model.rope().cos);
  constants.emplace_back("rope.sin", model.rope().sin);
  for (int64_t layer = 0; layer < model.config().num_hidden_layers; ++layer) {
    for (int64_t rank = 0; rank < cache.hosted(); ++rank) {
      const KvCache::Page& page = cache.page(layer, rank);
      constants.emplace_back(fmt::format("k_cache[{},{}]", layer, rank), page.k);
      constants.emplace_back(fmt::format("v_cache[{},{}]", layer, rank), page.v);
    }
  }
  return constants;
}

// What of a model stands in its graphs, or decides what they compute.
GraphModel graph_model(const DecoderConfig& config, const Numerics& numerics) {
  GraphModel model = {{"vocab_size", config.vocab_size},
                      {"hidden_size", config.hidden_size},
                      {"num_hidden_layers", config.num_hidden_layers},
                      {"num_attention_heads", config.num_attention_heads},
                      {"num_key_value_heads", config.num_key_value_heads},
                      {"head_dim", config.head_dim},
                      {"intermediate_size", config.intermediate_size},
                      {"max_position_embeddings", config.max_position_embeddings},
                      {"rms_norm_eps", config.rms_norm_eps},
                      {"rope_theta", config.rope_theta},
                      {"tie_word_embeddings", config.tie_word_embeddings},
                      {"numerics.batch_invariant", numerics.contract},
                      {"numerics.flash", numerics.flash},
                      {"numerics.tp_invariant", numerics.tp_invariant},
                      {"numerics.fused_rounding", numerics.fused_rounding}};
  // Came after the first saved graphs.
  if (numerics.float32_head) model.emplace("numerics.float32_head", true);
  return model;
}

}  // namespace

std::string save_generator_graph(const ir::Graph& graph, const Decoder& model,
                                 const KvCache& cache) {
  const auto constants = named_constants(model, cache);
  GraphNames names;
  names.constant = [&](const at::Tensor& constant) {
    for (const auto& [name, tensor] : constants) {
      if (tensor.is_same(constant)) return name;
    }
    TORCH_CHECK(false, "a graph holds a tensor ", constant.sizes(),
                " that is no parameter, table or cache of its model");
  };
  names.object = [](const c10::IValue&) { return std::string("mesh"); };
  names.model = graph_model(model.config(), model.numerics());
  names.device = model.device();
  return save_graph(graph, names);
}

ir::Graph load_generator_graph(const std::filesystem::path& file, const Decoder& model,
                               const KvCache& cache) {
  const auto constants = named_constants(model, cache);
  GraphReferences references;
  references.constant = [&](const std::string& wanted) {
    for (const auto& [name, tensor] : constants) {
      if (name == wanted) return tensor;
    }
    return at::Tensor();
  };
  references.object = [&](const std::string& name) {
    const auto& mesh = model.parallel().mesh();
    return name == "mesh" && mesh ? c10::IValue(mesh) : c10::IValue();
  };
  references.model = graph_model(model.config(), model.numerics());
  references.device = model.device();
  return load_graph(read_text_file(file.string()), references, file.string());
}

void check_generator_graph(const std::filesystem::path& file, const DecoderConfig& config,
                           const Numerics& numerics) {
  check_graph_text(read_text_file(file.string()), graph_model(config, numerics), file.string());
}

}  // namespace samebits
