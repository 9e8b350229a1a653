#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <thread>
#include <torch/csrc/distributed/c10d/HashStore.hpp>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <vector>

#include "harness/mesh/gloo_transport.h"

namespace samebits::testing {

// How the ranks of a group are connected.
using Connect = std::function<std::unique_ptr<Transport>(
    const c10::intrusive_ptr<c10d::Store>&, int64_t rank, int64_t size, std::chrono::milliseconds,
    CollectiveLog&)>;

inline std::unique_ptr<Transport> by_gloo(const c10::intrusive_ptr<c10d::Store>& store,
                                          int64_t rank, int64_t size,
                                          std::chrono::milliseconds timeout, CollectiveLog& log) {
  return make_gloo_transport(store, rank, size, "127.0.0.1", timeout, log);
}

// Runs `rank` once for each rank of a grid of these sizes, each on a thread of its own: to a
// transport they are as good as processes. It gets a transport for each dimension, between the
// ranks that differ in it alone. What a rank throws is thrown here, the lowest rank's first.
inline void run_grid(const std::vector<int64_t>& sizes,
                     const std::function<void(std::vector<std::unique_ptr<Transport>>)>& rank,
                     std::chrono::milliseconds timeout = std::chrono::seconds(60),
                     const Connect& connect = by_gloo) {
  keep_out_of_flight_recorder();
  const auto store = c10::make_intrusive<c10d::HashStore>();
  int64_t n = 1;
  for (const int64_t size : sizes) n *= size;
  std::vector<std::exception_ptr> errors(static_cast<size_t>(n));
  std::vector<CollectiveLog> logs(static_cast<size_t>(n));
  std::vector<std::thread> threads;
  for (int64_t r = 0; r < n; ++r) {
    threads.emplace_back([&, r] {
      try {
        std::vector<std::unique_ptr<Transport>> transports;
        int64_t stride = n;
        for (size_t d = 0; d < sizes.size(); ++d) {
          stride /= sizes[d];
          const int64_t at = r / stride % sizes[d];
          const auto keys = c10::make_intrusive<c10d::PrefixStore>(
              std::to_string(d) + "/" + std::to_string(r - at * stride), store);
          transports.push_back(connect(keys, at, sizes[d], timeout, logs[r]));
        }
        rank(std::move(transports));
      } catch (...) {
        errors[r] = std::current_exception();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::exception_ptr& error : errors) {
    if (error) std::rethrow_exception(error);
  }
}

// Likewise, of n ranks in one dimension.
inline void run_ranks(int64_t n, const std::function<void(std::unique_ptr<Transport>)>& rank,
                      std::chrono::milliseconds timeout = std::chrono::seconds(60),
                      const Connect& connect = by_gloo) {
  run_grid(
      {n},
      [&](std::vector<std::unique_ptr<Transport>> transports) { rank(std::move(transports[0])); },
      timeout, connect);
}

}  // namespace samebits::testing
