#pragma once

#include <ATen/cuda/CUDAGraph.h>
#include <benchmark/benchmark.h>
#include <c10/cuda/CUDAGuard.h>

namespace samebits {

// Times replays of what `body` launches, captured once after `warm_up` has run, on a stream of
// their own; each is waited for.
template <typename WarmUp, typename Body>
void time_replays(benchmark::State& state, const WarmUp& warm_up, const Body& body) {
  const c10::cuda::CUDAStream stream = c10::cuda::getStreamFromPool();
  const c10::cuda::CUDAStreamGuard guard(stream);
  warm_up();
  at::cuda::CUDAGraph graph;
  graph.capture_begin();
  body();
  graph.capture_end();
  graph.replay();
  stream.synchronize();
  for (auto _ : state) {
    graph.replay();
    stream.synchronize();
  }
}

}  // namespace samebits
