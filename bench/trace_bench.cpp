// Tracing Qwen3-0.6B (28 layers): a prefill, and the joint graph of a training step. Weights are
// not initialised: nothing computes. `growth`: of the process's memory while tracing.

#include <ATen/ATen.h>
#include <benchmark/benchmark.h>
#include <torch/csrc/autograd/autograd.h>
#include <unistd.h>

#include <fstream>

#include "bench/byte_counter.h"
#include "bench/qwen3_600m.h"
#include "harness/capture/tracer.h"
#include "harness/mesh/device_mesh.h"
#include "harness/model/attention.h"
#include "harness/model/qwen3.h"

namespace samebits {
namespace {

constexpr int64_t kTokens = 64;

double resident_bytes() {
  int64_t pages = 0;
  int64_t resident = 0;
  std::ifstream("/proc/self/statm") >> pages >> resident;
  return static_cast<double>(resident * sysconf(_SC_PAGESIZE));
}

void measure(benchmark::State& state, ModeLevel level) {
  const DecoderConfig config = qwen3_600m();
  const int64_t tp = state.range(0);
  Weights weights;
  for (const auto& [name, shape] : qwen3_weight_shapes(config)) {
    weights[name] = at::empty(shape, at::kBFloat16);
  }
  Qwen3 model(config, Numerics(), tp == 1 ? TensorParallel() : TensorParallel(make_local_mesh(tp)),
              weights);
  weights.clear();
  std::vector<at::Tensor> parameters;
  for (Parameter& parameter : model.parameters()) {
    parameters.push_back(parameter.tensor.requires_grad_(level == ModeLevel::kBelowAutograd));
  }
  const at::Tensor one = at::ones({}, at::kBFloat16);
  const Program program = [&](const std::vector<at::Tensor>& in) {
    const ContiguousAttention attention(model.numerics(), in[2], model.attention_scale());
    const at::Tensor logits = model.forward(in[0], in[1], attention, /*rows=*/{});
    if (level == ModeLevel::kAboveAutograd) return std::vector<at::Tensor>{logits};
    return torch::autograd::grad({logits.sum()}, parameters, {one});
  };
  const std::vector<at::Tensor> inputs{at::zeros({1, kTokens}, at::kLong),
                                       at::arange(kTokens).view({1, kTokens}),
                                       at::tensor({int64_t{0}, kTokens}, at::kInt)};
  const std::vector<DynamicDim> dims{{0, 1, "tokens", 2}, {1, 1, "tokens", 2}};
  const double before = resident_bytes();
  size_t nodes = 0;
  for (auto _ : state) {
    ShapeEnv env;
    nodes = trace(program, inputs, dims, env, level).nodes.size();
  }
  state.counters["nodes"] = static_cast<double>(nodes);
  state.counters["growth"] = byte_counter(resident_bytes() - before);
}

void ranks(benchmark::internal::Benchmark* b) {
  b->ArgName("tp")->Arg(1)->Arg(2)->Unit(benchmark::kMillisecond);
}

BENCHMARK_CAPTURE(measure, forward, ModeLevel::kAboveAutograd)->Name("trace/forward")->Apply(ranks);
BENCHMARK_CAPTURE(measure, joint, ModeLevel::kBelowAutograd)->Name("trace/joint")->Apply(ranks);

}  // namespace
}  // namespace samebits
