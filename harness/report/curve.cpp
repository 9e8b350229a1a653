#include "harness/report/curve.h"

#include <algorithm>
#include <cmath>
#include <iterator>

namespace samebits {

Curve thinned(const Curve& curve, size_t most) {
  if (curve.size() <= most) return curve;
  Curve thin(most);
  for (size_t i = 0; i < curve.size(); ++i) {
    std::optional<double>& point = thin[i * most / curve.size()];
    if (curve[i] && (!point || *curve[i] > *point)) point = curve[i];
  }
  return thin;
}

Curve powers_of(const std::vector<std::optional<uint64_t>>& ulp) {
  Curve powers;
  for (const std::optional<uint64_t>& each : ulp) {
    powers.push_back(each ? std::optional(std::log2(1 + static_cast<double>(*each)))
                          : std::nullopt);
  }
  return powers;
}

std::optional<CurveRange> range_of(const std::vector<Curve>& curves) {
  std::optional<CurveRange> range;
  for (const Curve& curve : curves) {
    for (const std::optional<double>& value : curve) {
      if (!value || !std::isfinite(*value)) continue;
      if (!range) range = CurveRange{*value, *value};
      range->low = std::min(range->low, *value);
      range->high = std::max(range->high, *value);
    }
  }
  return range;
}

std::string sparkline(const Curve& curve, const CurveRange& range) {
  static constexpr const char* kBars[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  constexpr int kLast = static_cast<int>(std::size(kBars)) - 1;
  const double height = range.high - range.low;
  std::string line;
  for (const std::optional<double>& value : curve) {
    if (!value || !std::isfinite(*value)) {
      line += ' ';
      continue;
    }
    const double share = height > 0 ? (*value - range.low) / height : 0;
    line += kBars[std::clamp(static_cast<int>(std::lround(share * kLast)), 0, kLast)];
  }
  return line;
}

}  // namespace samebits
