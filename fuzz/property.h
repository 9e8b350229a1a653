#pragma once

// What every target asserts: a reader returns, or throws an InputError whose text is one printable
// line with an end.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "harness/base/error.h"

namespace samebits::fuzz {

inline void require(bool holds) {
  if (!holds) std::abort();
}

template <typename Read>
int reads_or_refuses(const uint8_t* data, size_t size, Read&& read) {
  try {
    read(std::string(reinterpret_cast<const char*>(data), size));
  } catch (const InputError& error) {
    const std::string line = error.what();
    require(line.size() <= kLongestMessage && printable(line) == line);
  }
  return 0;
}

}  // namespace samebits::fuzz
