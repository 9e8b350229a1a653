#pragma once

#include "repro/catalogue/catalogue.h"

namespace samebits {

// How the loop over i * factor is compiled.
enum class IndexOverflow {
  kWraps,     // modulo 2^64, as eager multiplies
  kUndefined  // as of signed numbers in C++: no i is reached whose product would overflow
};

// 0x9e3779b97f4a7c15, the golden ratio in 64 bits, times 0, 1, ... s - 1, added to as many seeds:
// what a hash of positions begins with. Its reference is eager's.
Subject hashed_positions(IndexOverflow overflow);

// Found beside pytorch#190764: Inductor on a CPU multiplies the index of an arange as a signed
// number, and the C++ compiler leaves out what would overflow.
Repro inductor_arange_unwritten();

}  // namespace samebits
