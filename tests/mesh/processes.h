#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <thread>
#include <torch/csrc/distributed/c10d/HashStore.hpp>
#include <vector>

#include "harness/mesh/gloo_transport.h"

namespace samebits::testing {

// Runs `rank` once for each of n ranks that gloo connects, each on a thread of its own: to gloo
// they are as good as processes. What a rank throws is thrown here, the lowest rank's first.
inline void run_ranks(int64_t n, const std::function<void(std::unique_ptr<Transport>)>& rank,
                      std::chrono::milliseconds timeout = std::chrono::seconds(60)) {
  const auto store = c10::make_intrusive<c10d::HashStore>();
  std::vector<std::exception_ptr> errors(static_cast<size_t>(n));
  std::vector<CollectiveLog> logs(static_cast<size_t>(n));
  std::vector<std::thread> threads;
  for (int64_t r = 0; r < n; ++r) {
    threads.emplace_back([&, r] {
      try {
        rank(make_gloo_transport(store, r, n, "127.0.0.1", timeout, logs[r]));
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

}  // namespace samebits::testing
