#pragma once

#include <filesystem>
#include <string>

#include "harness/capture/ir/graph.h"
#include "harness/model/decoder.h"
#include "harness/model/kv_cache.h"

namespace samebits {

// A captured generator's graph as a file (capture/graph_file.h). It names what it takes from the
// program: parameters by their names in the checkpoint, "rope.cos", "rope.sin",
// "k_cache[layer,rank]", "v_cache[layer,rank]", "mesh"; and it tells which sizes, constants and
// numerics the model had.

std::string save_generator_graph(const ir::Graph& graph, const Decoder& model,
                                 const KvCache& cache);

// Throws InputError for a file that is broken, or of another model, cache or mesh.
ir::Graph load_generator_graph(const std::filesystem::path& file, const Decoder& model,
                               const KvCache& cache);

// What of that is known before the model is built. Throws InputError.
void check_generator_graph(const std::filesystem::path& file, const DecoderConfig& config,
                           const Numerics& numerics);

}  // namespace samebits
