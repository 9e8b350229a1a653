#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace samebits {

// A value a step; nullopt where there is none.
using Curve = std::vector<std::optional<double>>;

// At most `most` values: of neighbours that fall together the largest.
Curve thinned(const Curve& curve, size_t most);

// Distances on a scale of powers of two: 0 ULP is 0, 1 is 1, 2^k is about k.
Curve powers_of(const std::vector<std::optional<uint64_t>>& ulp);

// The least and the largest finite value; nullopt where there is none.
struct CurveRange {
  double low = 0;
  double high = 0;
};
std::optional<CurveRange> range_of(const std::vector<Curve>& curves);

// A line of text: a bar a value, from `low` to `high`; a space where there is none or it is not
// finite.
std::string sparkline(const Curve& curve, const CurveRange& range);

}  // namespace samebits
