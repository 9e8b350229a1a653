#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <memory>

#include "bench/step_inputs.h"
#include "harness/mesh/device_mesh.h"
#include "harness/model/qwen3.h"
#include "harness/workload/step_runner.h"
#include "harness/workload/workload.h"

// What the benches of a decode step share: the step, the models and their caches.
namespace samebits {

inline constexpr int64_t kPages = 2;  // of each sequence
inline constexpr int64_t kKeys = 21;  // that they hold, with that of the step

// One token of each of `sequences` sequences.
inline StepInputs decode_step(int64_t sequences) { return step_of(sequences, /*tokens=*/1, kKeys); }

// From the root of the checkout.
inline std::unique_ptr<Decoder> tiny_model(int64_t tp,
                                           GatheredSize gathered_size = GatheredSize::kNarrow) {
  ArmSettings arm;
  arm.model = "cases/models/tiny";
  arm.mesh.tp = tp;
  arm.mesh.gathered_size = gathered_size;
  return make_model(arm, arm.generator, make_parallel(arm));
}

inline std::unique_ptr<Decoder> model_of_100_million(int64_t tp) {
  DecoderConfig config;
  config.vocab_size = 32000;
  config.hidden_size = 768;
  config.num_hidden_layers = 12;
  config.num_attention_heads = 12;
  config.num_key_value_heads = 4;
  config.head_dim = 64;
  config.intermediate_size = 2304;
  config.max_position_embeddings = 1024;
  config.tie_word_embeddings = true;
  Weights weights;
  for (const auto& [name, shape] : qwen3_weight_shapes(config)) {
    weights[name] = (0.02 * at::randn(shape)).to(at::kBFloat16);
  }
  return std::make_unique<Qwen3>(config, Numerics(),
                                 tp == 1 ? TensorParallel() : TensorParallel(make_local_mesh(tp)),
                                 weights);
}

// With pages for `sequences`, all zeros.
inline KvCache zero_cache(const Decoder& model, int64_t sequences) {
  const int64_t tp = model.parallel().size();
  KvCache cache(model.config(), tp, sequences * kPages, kBlockSize, model.numerics().dtype);
  for (int64_t layer = 0; layer < model.config().num_hidden_layers; ++layer) {
    for (int64_t rank = 0; rank < tp; ++rank) {
      cache.page(layer, rank).k.zero_();
      cache.page(layer, rank).v.zero_();
    }
  }
  return cache;
}

inline Selection sampled() {
  return {/*forced=*/false, /*seed=*/1, /*temperature=*/1.0, /*top_k=*/0, /*top_p=*/1.0};
}

}  // namespace samebits
