// D3: what a graph holds by address, after the program ran eagerly at other sizes.

#include <c10/core/GradMode.h>
#include <c10/util/Exception.h>
#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "harness/core/error.h"
#include "harness/dtensor/dtensor.h"
#include "harness/graph/make_pool.h"
#include "harness/graph/static_graph.h"
#include "repro/detect/findings.h"

namespace samebits {
namespace {

// The graph at the hint, replayed once; null where the program may not be captured (D9).
std::unique_ptr<StaticGraph> captured_at_hint(const Subject& subject,
                                              const std::vector<at::Tensor>& inputs) {
  try {
    return std::make_unique<StaticGraph>("the graph", make_pool(inputs[0].device()),
                                         subject.program, inputs);
  } catch (const c10::Error&) {
    return nullptr;
  }
}

void replay(StaticGraph& graph, const std::vector<at::Tensor>& inputs) {
  graph.copy_inputs(inputs);
  graph.replay();
}

}  // namespace

Findings moved_addresses(const Subject& subject) {
  const c10::NoGradGuard no_grad;
  const std::vector<at::Tensor> inputs = subject.inputs(subject.hint);
  // A graph's static inputs are plain.
  if (std::any_of(inputs.begin(), inputs.end(), is_dtensor)) return {};
  const auto graph = captured_at_hint(subject, inputs);
  if (!graph) return {};
  replay(*graph, inputs);
  for (const int64_t size : subject.sizes) {
    if (!runs_eagerly(subject, size)) continue;
    try {
      replay(*graph, inputs);
    } catch (const RunError& error) {
      return {fmt::format("captured at {}, replayed after a call at {}: {}", subject.hint, size,
                          error.what())};
    }
  }
  return {};
}

}  // namespace samebits
