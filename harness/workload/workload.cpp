#include "harness/workload/workload.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "harness/base/error.h"
#include "harness/base/text.h"
#include "harness/execution/aot_inductor.h"
#include "harness/kernels/cpu/isa.h"
#include "harness/kernels/device.h"
#include "harness/mesh/device_mesh.h"
#include "harness/model/architecture.h"
#include "harness/model/checkpoint.h"
#include "harness/workload/generator_graph.h"
#include "harness/workload/grpo.h"
#include "harness/workload/memory_plan.h"
#include "harness/workload/rollouts.h"
#include "harness/workload/score.h"
#include "harness/workload/token_training.h"
#include "harness/workload/weight_sync.h"

namespace samebits {

TensorParallel make_parallel(const ArmSettings& arm, World* world) {
  if (arm.mesh.tp == 1) return {};
  if (world != nullptr) return TensorParallel(world->tensor_parallel_mesh());
  return TensorParallel(make_local_mesh(arm.mesh.tp, arm.mesh.gathered_size));
}

Replicas make_replicas(World* world) {
  return world == nullptr ? Replicas() : Replicas(world->replicas());
}

std::unique_ptr<Decoder> make_model(const ArmSettings& arm, const SideSettings& side,
                                    const TensorParallel& parallel, bool untie_head) {
  DecoderConfig config = decoder_config_from_folder(arm.model);
  const NumericsSettings& numerics = arm.numerics_of(side);
  check_tensor_parallel(config, arm.mesh.tp, numerics.tp_invariant);
  Weights weights = load_checkpoint(arm.model, config);
  if (untie_head) {
    config.tie_word_embeddings = false;
    weights["lm_head.weight"] = weights.at("model.embed_tokens.weight");
  }
  if (arm.device == DeviceKind::kCuda) {
    for (auto& [name, weight] : weights) weight = weight.to(at::kCUDA);
  }
  return architecture_of(config).make(config, numerics_from_settings(numerics), parallel, weights);
}

void check_device(const ArmSettings& arm) {
  if (arm.device == DeviceKind::kCpu) return;
  const std::string missing = why_no_cuda();
  if (missing.empty()) return;
  throw InputError(fmt::format("arm {}: device", arm.name), "\"cuda\"; " + missing,
                   "\"cpu\", or a machine with an H100 or H200");
}

namespace {

// A bucket takes memory for all of its tokens, so it is refused before it is made for nobody.
void check_buckets(const ArmSettings& arm, int64_t sequences, int64_t longest) {
  const std::vector<int64_t>& buckets = arm.generator.buckets;
  const auto largest = std::max_element(buckets.begin(), buckets.end());
  if (largest == buckets.end() || (*largest - 1) / longest < sequences) return;
  throw InputError(fmt::format("arm {}: buckets", arm.name), fmt::format("{} tokens", *largest),
                   fmt::format("at most those of all sequences, {} of {}", sequences, longest));
}

}  // namespace

void check_mode(const ArmSettings& arm) {
  const std::pair<const char*, const SideSettings*> sides[] = {{"generator", &arm.generator},
                                                               {"trainer", &arm.trainer}};
  for (const auto& [name, side] : sides) {
    const Numerics numerics = numerics_from_settings(arm.numerics_of(*side));
    if (!side->is_replayed() || (numerics.contract && numerics.flash)) continue;
    throw InputError(
        fmt::format("arm {}: {}", arm.name, name),
        to_string(side->execution) + " with plain LibTorch operators, which replays do not serve",
        "numerics.batch_invariant true and numerics.attention \"flash\"");
  }
  if (arm.generator.execution == Execution::kPersistent && arm.mesh.tp != 1) {
    throw InputError(fmt::format("arm {}: generator", arm.name),
                     fmt::format("persistent with mesh.tp {}", arm.mesh.tp), "mesh.tp 1");
  }
  if (arm.generator.execution == Execution::kPersistent && arm.numerics.dtype != Dtype::float32 &&
      arm.numerics_of(arm.generator).float32_head) {
    throw InputError(fmt::format("arm {}: generator", arm.name),
                     "persistent with numerics.float32_head, which its kernel does not compute",
                     "another mode");
  }
  const bool has_own_code =
      arm.generator.execution == Execution::kEager ||
      (arm.generator.execution == Execution::kCaptured && arm.generator.graph.empty());
  if (generates_processed(arm.workload) && !has_own_code) {
    throw InputError(fmt::format("arm {}: generator", arm.name),
                     to_string(arm.generator.execution) + " with workload.processed_logprobs " +
                         quoted(to_string(arm.workload.processed_logprobs)),
                     "eager, or captured without a graph");
  }
  if (trains_processed(arm.workload) && arm.trainer.is_replayed()) {
    throw InputError(fmt::format("arm {}: trainer", arm.name),
                     to_string(arm.trainer.execution) + " with workload.processed_logprobs " +
                         quoted(to_string(arm.workload.processed_logprobs)),
                     "eager or captured");
  }
  for (const auto& [name, side] : sides) {
    if (side->execution != Execution::kAotInductor) continue;
    const std::string where = fmt::format("arm {}: {}", arm.name, name);
    if (arm.mesh.tp != 1) {
      throw InputError(where, fmt::format("aot_inductor with mesh.tp {}", arm.mesh.tp),
                       "mesh.tp 1");
    }
    if (arm.device != DeviceKind::kCpu) {
      throw InputError(where, "aot_inductor with device " + to_string(arm.device),
                       "device \"cpu\"");
    }
    check_aot_package(side->package);
  }
}

namespace {

void check_mesh(const ArmSettings& arm) {
  const std::string where = fmt::format("arm {}: mesh.kind", arm.name);
  const bool is_on_card = arm.device == DeviceKind::kCuda;
  if (arm.mesh.kind == MeshKind::kNccl && !is_on_card) {
    throw InputError(where, "nccl with device " + to_string(arm.device), "device \"cuda\"");
  }
  const bool is_replayed = arm.generator.is_replayed() || arm.trainer.is_replayed();
  if (arm.mesh.kind == MeshKind::kGloo && is_on_card && is_replayed) {
    throw InputError(where,
                     fmt::format("gloo with a {} that is replayed on a card",
                                 arm.generator.is_replayed() ? "generator" : "trainer"),
                     "nccl: Gloo's bytes pass the host, which a CUDA graph cannot wait for");
  }
}

// Groups of the gradient are dealt to replicas in aligned powers of two, so that replicas are the
// upper part of the tree that joins groups.
void check_replicas(const ArmSettings& arm) {
  const int64_t dp = arm.mesh.dp;
  const bool is_power = std::has_single_bit(static_cast<uint64_t>(dp));
  if (!is_power || arm.workload.gradient_groups % dp != 0) {
    throw InputError(fmt::format("arm {}: mesh.dp", arm.name), fmt::format("{}", dp),
                     fmt::format("a power of two that divides workload.gradient_groups, {}",
                                 arm.workload.gradient_groups));
  }
  const bool is_contract = arm.numerics_of(arm.trainer).batch_invariant;
  if (dp > 1 && is_trained(arm.workload.kind) && !is_contract) {
    throw InputError(fmt::format("arm {}: mesh.dp", arm.name),
                     fmt::format("{} with numerics.batch_invariant false", dp),
                     "1: the gradient of LibTorch's operators is not that of groups");
  }
}

}  // namespace

void check_arm(const ArmSettings& arm) {
  selected_isa();  // SAMEBITS_CPU may name what this machine has not
  check_device(arm);
  const DecoderConfig config = decoder_config_from_folder(arm.model);
  for (const SideSettings* side : {&arm.generator, &arm.trainer}) {
    check_tensor_parallel(config, arm.mesh.tp, arm.numerics_of(*side).tp_invariant);
  }
  check_mode(arm);
  check_replicas(arm);
  check_mesh(arm);
  if (arm.workload.untied_head != UntiedHead::kNone && !config.tie_word_embeddings) {
    throw InputError(fmt::format("arm {}: workload.untied_head", arm.name),
                     quoted(to_string(arm.workload.untied_head)) + " of a model that ties nothing",
                     "a checkpoint with tie_word_embeddings true");
  }
  check_sync(arm.workload.sync, config);
  if (!arm.generator.graph.empty()) {
    check_generator_graph(arm.generator.graph, config,
                          numerics_from_settings(arm.numerics_of(arm.generator)));
  }
  if (!is_generated(arm.workload.kind)) {
    const int64_t longest = longest_of(read_training_tokens(arm, config));
    train_tokens(arm, config, longest);
    check_memory(arm, plan_memory(arm, config, /*sequences=*/0, longest), free_memory(arm));
    return;
  }
  const auto prompts = encode_prompts(arm, Tokenizer::from_folder(arm.model));
  int64_t longest = 0;
  for (const auto& prompt : prompts) {
    const auto length = static_cast<int64_t>(prompt.size());
    // Compared so that no sum can overflow.
    if (arm.workload.max_new_tokens > config.max_position_embeddings - length) {
      throw InputError(
          fmt::format("arm {}: workload.prompts", arm.name),
          fmt::format("{} tokens and max_new_tokens {}", length, arm.workload.max_new_tokens),
          fmt::format("at most max_position_embeddings, {}", config.max_position_embeddings));
    }
    longest = std::max(longest, length + arm.workload.max_new_tokens);
  }
  if (is_trained(arm.workload.kind)) train_tokens(arm, config, longest);
  const int64_t sequences = static_cast<int64_t>(prompts.size()) * arm.workload.group;
  if (!arm.workload.rollouts.empty()) {
    rollouts_of_step(read_rollouts(arm.workload.rollouts, config.vocab_size), /*step=*/0,
                     static_cast<size_t>(sequences), arm);
  }
  check_buckets(arm, sequences, longest);
  check_memory(arm, plan_memory(arm, config, sequences, longest), free_memory(arm));
}

std::unique_ptr<Workload> make_workload(const ArmSettings& arm, World* world) {
  switch (arm.workload.kind) {
    case WorkloadKind::kGrpo:
      return std::make_unique<Grpo>(arm, world);
    case WorkloadKind::kPrefill:
    case WorkloadKind::kDecode:
      return std::make_unique<Score>(arm, world);
    case WorkloadKind::kTrain:
      return std::make_unique<TokenTraining>(arm, world);
    case WorkloadKind::kProgram:
      break;  // runs elsewhere
  }
  throw std::logic_error("unreachable");
}

}  // namespace samebits
