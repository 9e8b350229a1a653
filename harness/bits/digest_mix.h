#pragma once

// The arithmetic of the digest, in a form that host and device compile from this one source.

#include <cstdint>

#ifdef __CUDACC__
#define SAMEBITS_HOST_DEVICE __host__ __device__
#else
#define SAMEBITS_HOST_DEVICE
#endif

namespace samebits {

// Two invertible mixings of 64 bits in which every input bit moves every output bit with
// probability near 1/2: `mix_a` is splitmix64's (Stafford's variant 13), `mix_b` MurmurHash3's
// fmix64.
SAMEBITS_HOST_DEVICE constexpr uint64_t mix_a(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}
SAMEBITS_HOST_DEVICE constexpr uint64_t mix_b(uint64_t x) {
  x = (x ^ (x >> 33)) * 0xff51afd7ed558ccdu;
  x = (x ^ (x >> 33)) * 0xc4ceb9fe1a85ec53u;
  return x ^ (x >> 33);
}

// Odd multipliers that spread the index over all 64 bits: the golden ratio's and sqrt(3)'s.
inline constexpr uint64_t kIndexStrideA = 0x9e3779b97f4a7c15u;
inline constexpr uint64_t kIndexStrideB = 0xbb67ae8584caa73bu;

// Two sums modulo 2^64 over all elements of a tensor. Addition commutes, so elements, ranges and
// partial sums may be added in any order, by any number of threads.
struct DigestSums {
  uint64_t a = 0;
  uint64_t b = 0;

  // One element: its raw bits, zero-extended, and its linear (row-major) index in the whole tensor.
  // The index enters once by addition and once by exclusive or, so that two (bits, index) pairs
  // that meet in one sum do not meet in the other.
  SAMEBITS_HOST_DEVICE constexpr void add(uint64_t bits, uint64_t index) {
    a += mix_a(bits + (index + 1) * kIndexStrideA);
    b += mix_b(bits ^ (index + 1) * kIndexStrideB);
  }
  SAMEBITS_HOST_DEVICE constexpr void add(const DigestSums& other) {
    a += other.a;
    b += other.b;
  }
};

}  // namespace samebits
