#include "harness/workload/memory_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <initializer_list>
#include <limits>

#include "harness/base/error.h"
#include "harness/base/memory.h"
#include "harness/graph/buckets.h"
#include "harness/kernels/device.h"
#include "harness/model/architecture.h"
#include "harness/workload/micro_batch.h"

namespace samebits {
namespace {

constexpr int64_t kFloatBytes = 4;
constexpr int64_t kTooMany = std::numeric_limits<int64_t>::max();

// Sums and products stay at the largest int64_t where they would pass it: a case or a config.json
// may ask for anything.
int64_t sum(std::initializer_list<int64_t> terms) {
  int64_t total = 0;
  for (const int64_t term : terms) {
    if (__builtin_add_overflow(total, term, &total)) return kTooMany;
  }
  return total;
}

int64_t product(std::initializer_list<int64_t> factors) {
  int64_t total = 1;
  for (const int64_t factor : factors) {
    if (factor == 0) return 0;
    if (total != kTooMany && __builtin_mul_overflow(total, factor, &total)) total = kTooMany;
  }
  return total;
}

// As Decoder pads it.
int64_t padded_vocabulary(int64_t rows) {
  constexpr int64_t kSlices = Numerics::kSlices;
  return (rows + kSlices - 1) / kSlices * kSlices;
}

// Of one model's parameters, all ranks together. Vectors are on every rank.
int64_t elements_of_layers(DecoderConfig config, int64_t layers, int64_t ranks) {
  config.num_hidden_layers = layers;
  int64_t elements = 0;
  for (const auto& [name, shape] : architecture_of(config).weight_shapes(config)) {
    if (shape.size() == 1) {
      elements = sum({elements, product({shape[0], ranks})});
    } else {
      const bool is_vocabulary = shape[0] == config.vocab_size;
      const int64_t rows = is_vocabulary ? padded_vocabulary(shape[0]) : shape[0];
      elements = sum({elements, product({rows, shape[1]})});
    }
  }
  return elements;
}

// Layers are alike, so that a config.json of a billion of them is answered at once.
int64_t parameter_elements(const DecoderConfig& config, int64_t ranks) {
  const int64_t one = elements_of_layers(config, 1, ranks);
  const int64_t two = elements_of_layers(config, 2, ranks);
  return sum({one, product({config.num_hidden_layers - 1, two - one})});
}

int64_t bytes_of_element(const ArmSettings& arm) {
  return arm.numerics.dtype == Dtype::float32 ? 4 : 2;
}

// Bytes that autograd keeps of one token, about: what the operators of qwen3.cpp save for their
// backward, and the logits with their gradient.
int64_t activation_bytes(const ArmSettings& arm, const DecoderConfig& config) {
  const int64_t element = bytes_of_element(arm);
  const int64_t logit = arm.numerics_of(arm.trainer).float32_head ? kFloatBytes : element;
  const int64_t of_layer =
      sum({product({4, config.hidden_size}), product({3, config.q_size()}),
           product({3, config.kv_size()}), product({3, config.intermediate_size})});
  return sum({product({element, config.num_hidden_layers, of_layer}),
              product({2, config.vocab_size, logit})});
}

int64_t blocks_of(int64_t longest, int64_t block_size) {
  return longest / block_size + (longest % block_size == 0 ? 0 : 1);
}

// Tokens of the largest micro-batch of a trainer that replays, padded.
int64_t most_padded_tokens(const ArmSettings& arm, const DecoderConfig& config, int64_t sequences,
                           int64_t longest) {
  constexpr int64_t kSensible = int64_t{1} << 40;  // more is refused anyway
  const int64_t most = std::min(train_tokens(arm, config, longest), product({sequences, longest}));
  if (most > kSensible) return most;
  const Buckets buckets =
      arm.trainer.buckets.empty() ? trainer_buckets(most) : Buckets(arm.trainer.buckets);
  return buckets.holds(most + 1) ? buckets.bucket_for(most + 1) : buckets.sizes().back();
}

}  // namespace

int64_t MemoryPlan::total() const {
  return sum({weights, kv_pages, gradients, optimizer, replays});
}

MemoryPlan plan_memory(const ArmSettings& arm, const DecoderConfig& config, int64_t sequences,
                       int64_t longest) {
  const int64_t element = bytes_of_element(arm);
  // Replicas in processes of their own are taken to be on one machine.
  const int64_t copies = arm.mesh.shares();
  const int64_t parameters = product({copies, parameter_elements(config, arm.mesh.tp)});
  const int64_t rope = product({config.max_position_embeddings, config.head_dim, kFloatBytes});
  const bool has_optimizer = is_trained(arm.workload.kind);
  int64_t models = has_optimizer && is_generated(arm.workload.kind) ? 2 : 1;
  if (arm.workload.loss.kl_reference == KlReference::kInitial) ++models;
  const int64_t block_size = arm.workload.block_size;
  MemoryPlan plan;
  plan.weights = product({models, sum({product({parameters, element}), rope})});
  plan.kv_pages = product({config.num_hidden_layers, 2, sequences, blocks_of(longest, block_size),
                           block_size, config.num_key_value_heads, config.head_dim, element});
  if (has_optimizer) {
    const bool has_master = arm.workload.optimizer.master;
    const int64_t sets = std::bit_width(static_cast<uint64_t>(arm.workload.gradient_groups));
    const int64_t head =
        config.tie_word_embeddings && arm.workload.untied_head != UntiedHead::kTrainer
            ? product({copies, padded_vocabulary(config.vocab_size), config.hidden_size})
            : 0;
    // LibTorch's own operators give whole gradients in the model's dtype.
    const bool is_contract = arm.numerics_of(arm.trainer).batch_invariant;
    plan.gradients = sum({product({sum({product({parameters, sets}), head}), kFloatBytes}),
                          has_master && is_contract ? 0 : product({parameters, element})});
    const int64_t kept = arm.mesh.shards_optimizer() ? parameters / copies : parameters;
    plan.optimizer = product({kept, kFloatBytes, has_master ? 3 : 2});
    if (arm.trainer.is_replayed()) {
      const int64_t of_step = is_generated(arm.workload.kind) ? sequences : arm.workload.sequences;
      plan.replays = product(
          {most_padded_tokens(arm, config, of_step, longest), activation_bytes(arm, config)});
    }
  }
  return plan;
}

int64_t train_tokens(const ArmSettings& arm, const DecoderConfig& config, int64_t longest) {
  if (const int64_t wanted = arm.workload.max_train_tokens; wanted != 0) {
    if (wanted >= longest) return wanted;
    throw InputError(fmt::format("arm {}: workload.max_train_tokens", arm.name),
                     fmt::format("{}", wanted),
                     fmt::format("at least {}, the tokens of the longest sequence", longest));
  }
  ArmSettings of_one_rank = arm;
  of_one_rank.mesh = {};
  of_one_rank.trainer.execution = Execution::kEager;
  const MemoryPlan plan = plan_memory(of_one_rank, config, /*sequences=*/0, /*longest=*/0);
  return std::max(longest, plan.total() / 4 / activation_bytes(arm, config));
}

int64_t free_memory(const ArmSettings& arm) {
  return arm.device == DeviceKind::kCuda ? free_device_memory() : available_memory();
}

void check_memory(const ArmSettings& arm, const MemoryPlan& plan, int64_t free) {
  if (plan.total() <= free) return;
  const auto gib = [](int64_t bytes) {
    return static_cast<double>(bytes) / static_cast<double>(int64_t{1} << 30);
  };
  throw InputError(fmt::format(
      "arm {}: needs {:.2f} GiB of memory and room for activations (weights {:.2f}, KV pages "
      "{:.2f}, gradients {:.2f}, optimizer state {:.2f}{}), {:.2f} GiB are free on its {}",
      arm.name, gib(plan.total()), gib(plan.weights), gib(plan.kv_pages), gib(plan.gradients),
      gib(plan.optimizer),
      plan.replays > 0 ? fmt::format(", the trainer's replays {:.2f}", gib(plan.replays)) : "",
      gib(free), arm.device == DeviceKind::kCuda ? "card" : "machine"));
}

}  // namespace samebits
