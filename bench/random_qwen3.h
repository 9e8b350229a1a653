#pragma once

#include <ATen/ATen.h>
#include <benchmark/benchmark.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <cmath>
#include <memory>
#include <string>

#include "harness/kernels/device.h"
#include "harness/model/qwen3.h"

// What the benches share that run on a card as well: a model, and the card itself.
namespace samebits {

// Random weights, made where they are used, of ordinary size: norms near 1, matrices near
// 1 / sqrt(fan-in).
inline std::unique_ptr<Decoder> random_qwen3(const DecoderConfig& config, const Numerics& numerics,
                                             c10::Device device) {
  Weights weights;
  const auto options = at::TensorOptions().dtype(numerics.dtype).device(device);
  for (const auto& [name, shape] : qwen3_weight_shapes(config)) {
    const at::Tensor random = at::randn(shape, options);
    const bool is_norm = shape.size() == 1;
    weights[name] =
        is_norm ? 1.0 + 0.1 * random : random / std::sqrt(static_cast<double>(shape.back()));
  }
  return std::make_unique<Qwen3>(config, numerics, TensorParallel(), weights);
}

// Says why in the benchmark's line where it needs a card and none is usable.
inline bool is_skipped(benchmark::State& state, c10::Device device) {
  const std::string reason = device.is_cuda() ? why_no_cuda() : "";
  if (!reason.empty()) state.SkipWithError(reason.c_str());
  return !reason.empty();
}

// Until everything that was launched on the device has run.
inline void wait_for(c10::Device device) {
  if (!device.is_cuda()) return;
  c10::impl::VirtualGuardImpl(device.type()).synchronizeDevice(device.index());
}

}  // namespace samebits
