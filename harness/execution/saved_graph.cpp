#include "harness/execution/saved_graph.h"

#include <fmt/format.h>

#include "harness/capture/graph_file.h"

namespace samebits {

std::string saved_graph(const ir::Graph& graph, const Decoder& model, const std::string& program) {
  int64_t others = 0;
  GraphNames names;
  names.constant = [&](const at::Tensor& constant) {
    for (const Parameter& parameter : model.parameters()) {
      if (parameter.tensor.is_same(constant)) return parameter.name;
    }
    if (model.rope().cos.is_same(constant)) return std::string("rope.cos");
    if (model.rope().sin.is_same(constant)) return std::string("rope.sin");
    return fmt::format("{}[{}]", program, others++);
  };
  names.object = [](const c10::IValue&) { return std::string("mesh"); };
  names.model = {{"program", program}};
  names.device = model.device();
  return save_graph(graph, names);
}

}  // namespace samebits
