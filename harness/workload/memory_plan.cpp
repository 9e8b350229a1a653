#include "harness/workload/memory_plan.h"

#include <fmt/format.h>

#include "harness/core/error.h"
#include "harness/model/qwen3.h"
#include "harness/workload/engine.h"

namespace samebits {
namespace {

constexpr int64_t kFloatBytes = 4;

// Of one model's parameters, all ranks together. Vectors are on every rank; the vocabulary is
// padded as Qwen3 pads it.
int64_t parameter_elements(const Qwen3Config& config, int64_t ranks) {
  constexpr int64_t kSlices = Numerics::kSlices;
  int64_t elements = 0;
  for (const auto& [name, shape] : qwen3_weight_shapes(config)) {
    if (shape.size() == 1) {
      elements += shape[0] * ranks;
    } else {
      const bool is_vocabulary = shape[0] == config.vocab_size;
      const int64_t rows = is_vocabulary ? (shape[0] + kSlices - 1) / kSlices * kSlices : shape[0];
      elements += rows * shape[1];
    }
  }
  return elements;
}

}  // namespace

MemoryPlan plan_memory(const Arm& arm, const Qwen3Config& config, int64_t sequences,
                       int64_t longest) {
  const int64_t element = arm.numerics.dtype == Dtype::float32 ? 4 : 2;
  const int64_t parameters = parameter_elements(config, arm.mesh.tp);
  const int64_t rope = config.max_position_embeddings * config.head_dim * kFloatBytes;
  const bool is_trained = arm.workload.kind == WorkloadKind::kGrpo;
  const int64_t block_size = arm.workload.block_size;
  MemoryPlan plan;
  plan.weights = (is_trained ? 2 : 1) * (parameters * element + rope);
  plan.kv_pages = config.num_hidden_layers * 2 * sequences *
                  Engine::blocks_for(longest, block_size) * block_size * config.kv_size() * element;
  if (is_trained) {
    const bool has_master = arm.workload.optimizer.master;
    plan.gradients = parameters * (element + (has_master ? kFloatBytes : element));
    plan.optimizer = parameters * kFloatBytes * (has_master ? 3 : 2);
  }
  return plan;
}

void check_memory(const Arm& arm, const MemoryPlan& plan, int64_t free) {
  if (plan.total() <= free) return;
  const auto gib = [](int64_t bytes) {
    return static_cast<double>(bytes) / static_cast<double>(int64_t{1} << 30);
  };
  throw InputError(fmt::format(
      "arm {}: needs {:.2f} GiB on its card and room for activations (weights {:.2f}, KV pages "
      "{:.2f}, gradients {:.2f}, optimizer state {:.2f}), {:.2f} GiB are free",
      arm.name, gib(plan.total()), gib(plan.weights), gib(plan.kv_pages), gib(plan.gradients),
      gib(plan.optimizer), gib(free)));
}

}  // namespace samebits
