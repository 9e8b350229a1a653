#pragma once

#include <benchmark/benchmark.h>

namespace samebits {

// A count of bytes in a benchmark's line, with binary prefixes.
template <typename Number>
benchmark::Counter byte_counter(Number bytes) {
  return {static_cast<double>(bytes), benchmark::Counter::kDefaults, benchmark::Counter::kIs1024};
}

}  // namespace samebits
