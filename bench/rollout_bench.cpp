// One rollout of 40 sequences by 20 tokens on the tiny checkpoint, eager against captured: what
// capture costs or saves. Run from the root of the checkout.

#include <benchmark/benchmark.h>

#include "harness/workload/grpo.h"

namespace samebits {
namespace {

constexpr int64_t kSequences = 40;

void rollout(benchmark::State& state, Execution execution) {
  ArmSettings arm;
  arm.model = "cases/models/tiny";
  arm.mesh.tp = state.range(0);
  arm.generator.execution = execution;
  arm.generator.guards = GuardPolicy::kDrop;
  const std::unique_ptr<Decoder> model = make_model(arm, arm.generator, make_parallel(arm));
  const auto prompts = encode_prompts(arm, Tokenizer::from_folder(arm.model));
  std::vector<Request> requests;
  for (int64_t i = 0; i < kSequences; ++i) requests.push_back({i, prompts[i % prompts.size()], {}});
  const std::unique_ptr<Engine> engine = make_engine(arm, *model, kSequences, /*longest=*/64);
  const Sampling sampling{/*seed=*/1, /*max_new_tokens=*/20, /*temperature=*/1.0, 0, 1.0};
  engine->generate(requests, sampling);  // captures, warms up
  int64_t tokens = 0;
  for (auto _ : state) {
    for (const Completion& completion : engine->generate(requests, sampling)) {
      tokens += static_cast<int64_t>(completion.tokens.size());
    }
  }
  state.counters["tokens/s"] =
      benchmark::Counter(static_cast<double>(tokens), benchmark::Counter::kIsRate);
}

BENCHMARK_CAPTURE(rollout, eager, Execution::kEager)
    ->Name("rollout/eager/tp")
    ->Arg(1)
    ->Arg(2)
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();
BENCHMARK_CAPTURE(rollout, captured, Execution::kCaptured)
    ->Name("rollout/captured/tp")
    ->Arg(1)
    ->Arg(2)
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

}  // namespace
}  // namespace samebits
