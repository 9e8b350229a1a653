#include "harness/report/pace.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace samebits {
namespace {

// Student's t, 97.5 %, by degrees of freedom from 1 on.
constexpr double kStudent[] = {12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306,
                               2.262,  2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120,
                               2.110,  2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064,
                               2.060,  2.056, 2.052, 2.048, 2.045, 2.042};
constexpr double kNormal = 1.960;

double student(int degrees) {
  const int known = static_cast<int>(std::size(kStudent));
  return degrees <= known ? kStudent[degrees - 1] : kNormal;
}

}  // namespace

Pace pace_of(const std::vector<double>& step_seconds) {
  Pace pace;
  pace.steps = std::max(static_cast<int>(step_seconds.size()) - 1, 0);
  if (pace.steps == 0) return pace;
  for (size_t i = 1; i < step_seconds.size(); ++i) pace.mean += step_seconds[i] / pace.steps;
  if (pace.steps == 1) return pace;
  double squares = 0;
  for (size_t i = 1; i < step_seconds.size(); ++i) {
    squares += (step_seconds[i] - pace.mean) * (step_seconds[i] - pace.mean);
  }
  pace.deviation = std::sqrt(squares / (pace.steps - 1));
  return pace;
}

PaceChange change_of(const Pace& first, const Pace& other) {
  PaceChange change;
  change.is_known = first.steps >= 2 && other.steps >= 2 && first.mean > 0 && other.mean > 0;
  if (!change.is_known) return change;
  const auto relative = [](const Pace& pace) {
    return pace.deviation * pace.deviation / pace.steps / (pace.mean * pace.mean);
  };
  change.factor = other.mean / first.mean;
  const double spread = student(std::min(first.steps, other.steps) - 1) *
                        std::sqrt(relative(first) + relative(other));
  change.low = change.factor * std::exp(-spread);
  change.high = change.factor * std::exp(spread);
  return change;
}

PaceChange change_of_pairs(const std::vector<double>& first, const std::vector<double>& other) {
  PaceChange change;
  const size_t rounds = std::min(first.size(), other.size());
  if (rounds < 3) return change;
  std::vector<double> logs;
  double mean = 0;
  for (size_t i = 0; i < rounds; ++i) {
    if (first[i] <= 0 || other[i] <= 0) return change;
    logs.push_back(std::log(other[i] / first[i]));
    mean += logs.back() / static_cast<double>(rounds);
  }
  double squares = 0;
  for (const double each : logs) squares += (each - mean) * (each - mean);
  const auto count = static_cast<double>(rounds);
  const double spread =
      student(static_cast<int>(rounds) - 1) * std::sqrt(squares / (count - 1) / count);
  change.is_known = true;
  change.factor = std::exp(mean);
  change.low = std::exp(mean - spread);
  change.high = std::exp(mean + spread);
  return change;
}

std::string PaceChange::text() const {
  if (!is_known) return "";
  if (!is_significant()) return "no significant change";
  char text[64];
  std::snprintf(text, sizeof text, "%.2f times as long", factor);
  return text;
}

}  // namespace samebits
