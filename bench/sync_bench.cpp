// Weight sync of a GRPO step, trainer to generator on one device, until the last byte is there. The
// floor is what must be read and written: GB/s counts both.

#include <benchmark/benchmark.h>

#include "bench/qwen3_600m.h"
#include "bench/random_qwen3.h"
#include "harness/workload/weight_sync.h"

namespace samebits {
namespace {

void sync(benchmark::State& state, DecoderConfig (*config)(), c10::DeviceType device) {
  if (is_skipped(state, device)) return;
  const std::unique_ptr<Decoder> trained = random_qwen3(config(), Numerics(), device);
  const std::unique_ptr<Decoder> generator = random_qwen3(config(), Numerics(), device);
  size_t bytes = 0;
  for (const Parameter& parameter : trained->parameters()) bytes += parameter.tensor.nbytes();
  sync_weights(*trained, *generator);  // warms up
  wait_for(generator->device());
  for (auto _ : state) {
    sync_weights(*trained, *generator);
    wait_for(generator->device());
  }
  state.counters["GB/s"] = benchmark::Counter(2e-9 * static_cast<double>(bytes),
                                              benchmark::Counter::kIsIterationInvariantRate);
}

BENCHMARK_CAPTURE(sync, large, qwen3_600m, c10::DeviceType::CUDA)
    ->Name("sync/0.6B")
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();
BENCHMARK_CAPTURE(sync, tiny, qwen3_tiny, c10::DeviceType::CPU)
    ->Name("sync/tiny")
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

}  // namespace
}  // namespace samebits
