#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "harness/bits/safetensors.h"

namespace samebits {

// How two tensors of the same dtype and shape differ, element by element.
struct TensorDifference {
  struct Element {
    std::vector<int64_t> index;
    std::string a;  // values, as a stream writes scalars
    std::string b;
    std::optional<uint64_t> ulp;  // of floating-point values
  };

  int64_t elements = 0;
  int64_t different = 0;           // in their bits
  std::optional<Element> first;    // in row-major order
  std::optional<Element> largest;  // the first of those farthest apart; nothing of integers
  // [k]: elements that are 2^k to 2^(k+1) - 1 ULP apart. A NaN against a number is in none.
  std::vector<int64_t> by_distance;
  int64_t nonfinite_a = 0;
  int64_t nonfinite_b = 0;
  std::vector<int64_t> shape;
  std::vector<std::vector<int64_t>>
      by_index;       // [dim][i]: differing elements whose index there is i
  std::string moved;  // how the same elements lie in other places (rearrangement.h)

  // For a person, in the order to read them: "elements": "3 of 128 differ", "first"; then "moved",
  // or where nothing did, "largest", if it is not the first, and "by ULP", of many distances the
  // nearest and the farthest; and where they lie: "dim 1", for each dimension of more than one
  // index, has how many of its indices have a difference, and a strip of them.
  std::vector<std::pair<std::string, std::string>> facts() const;

  // How many, the first, and what moved or is farthest apart, in one line.
  std::string brief() const;
};

// The raw bits of an element, by its row-major index, in the low bytes.
uint64_t bits_at(const TensorView& tensor, int64_t i);

// Throws std::invalid_argument where dtype or shape differ.
TensorDifference difference_of(const TensorView& a, const TensorView& b);

}  // namespace samebits
