// The sum over ranks that samebits makes of an exchange and its own tree, against Gloo's all-reduce
// of the same dtype, which users of torch.distributed have: `ratio`, of medians. Ranks are threads,
// one core each where there are enough. Gloo connects them over the loopback interface; the own
// exchange is by Gloo too, as between machines, or through shared memory, as on one.

#define USE_C10D_GLOO

#include <ATen/ATen.h>
#include <benchmark/benchmark.h>

#include <algorithm>
#include <thread>
#include <torch/csrc/distributed/c10d/HashStore.hpp>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>

#include "harness/base/stopwatch.h"
#include "harness/mesh/gloo_transport.h"
#include "harness/mesh/process_communicator.h"
#include "harness/mesh/shared_memory_transport.h"

namespace samebits {
namespace {

constexpr int kRounds = 60;

struct Medians {
  double own = 0;
  double gloo = 0;
};

double median(std::vector<double> seconds) {
  std::nth_element(seconds.begin(), seconds.begin() + seconds.size() / 2, seconds.end());
  return seconds[seconds.size() / 2];
}

c10::intrusive_ptr<c10d::ProcessGroupGloo> gloo_group(c10::intrusive_ptr<c10d::Store> store,
                                                      int rank, int size) {
  const auto options = c10d::ProcessGroupGloo::Options::create(std::chrono::seconds(60));
  options->devices.push_back(c10d::ProcessGroupGloo::createDeviceForHostname("127.0.0.1"));
  options->threads = 1;
  return c10::make_intrusive<c10d::ProcessGroupGloo>(
      c10::make_intrusive<c10d::PrefixStore>("gloo", store), rank, size, options);
}

// Both, round after round, on one rank.
Medians measure(const c10::intrusive_ptr<c10d::Store>& store, int rank, int size, int64_t bytes,
                bool is_shared) {
  CollectiveLog log;
  constexpr std::chrono::seconds kLimit{60};
  ProcessCommunicator own(is_shared
                              ? make_shared_memory_transport(store, rank, size, kLimit, log)
                              : make_gloo_transport(store, rank, size, "127.0.0.1", kLimit, log));
  const auto gloo = gloo_group(store, rank, size);
  const at::Tensor part = at::ones({bytes / 4});
  std::vector<double> of_own, of_gloo;
  for (int round = 0; round < kRounds; ++round) {
    {
      const Stopwatch watch;
      own.all_reduce({part});
      of_own.push_back(watch.seconds());
    }
    const Stopwatch watch;
    std::vector<at::Tensor> sum = {part.clone()};
    gloo->allreduce(sum)->wait();
    of_gloo.push_back(watch.seconds());
  }
  gloo->barrier()->wait();  // nobody is gone while another one waits for it
  return {median(of_own), median(of_gloo)};
}

void all_reduce(benchmark::State& state) {
  const auto size = static_cast<int>(state.range(0));
  Medians of_rank_0;
  for (auto _ : state) {
    const auto store = c10::make_intrusive<c10d::HashStore>();
    keep_out_of_flight_recorder();
    std::vector<std::thread> ranks;
    for (int rank = 0; rank < size; ++rank) {
      ranks.emplace_back([&, rank] {
        const Medians medians = measure(store, rank, size, state.range(1), state.range(2) == 1);
        if (rank == 0) of_rank_0 = medians;
      });
    }
    for (std::thread& rank : ranks) rank.join();
  }
  state.counters["own_us"] = of_rank_0.own * 1e6;
  state.counters["gloo_us"] = of_rank_0.gloo * 1e6;
  state.counters["ratio"] = of_rank_0.own / of_rank_0.gloo;
}

BENCHMARK(all_reduce)
    ->Name("collective/all_reduce")
    ->ArgNames({"ranks", "bytes", "shared"})
    ->ArgsProduct({{2, 4}, {1 << 10, 1 << 16, 1 << 20, 1 << 24}, {0, 1}})
    ->Unit(benchmark::kMillisecond)
    ->Iterations(1);

}  // namespace
}  // namespace samebits
