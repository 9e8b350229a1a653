#include "harness/compare/common_precision.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <tuple>
#include <utility>
#include <vector>

namespace samebits {
namespace {

constexpr size_t kNamesShown = 6;

double read_back(double value, std::chars_format format, int digits) {
  char buffer[2048];  // 309 digits before the point, and after it what a log has
  const auto [end, error] = std::to_chars(buffer, buffer + sizeof buffer, value, format, digits);
  double back = value;
  if (error == std::errc()) std::from_chars(buffer, end, back);
  return back;
}

// The decimal exponent of the value at this number of digits.
int exponent_of(double value, int digits) {
  char buffer[64];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, value,
                                 std::chars_format::scientific, digits - 1)
                       .ptr;
  const char* mark = std::find(buffer, end, 'e') + 1;
  int exponent = 0;
  std::from_chars(*mark == '+' ? mark + 1 : mark, end, exponent);
  return exponent;
}

bool is_same_writer(const LogSource& a, const LogSource& b) {
  return a.format == b.format && a.pattern == b.pattern;
}

// What a log's writer did to the values of a site before it wrote them, coarsest first. The few
// digits of a site in JSON or CSV may be all that its values have: they are not taken for rounded.
enum class Held { kPrinted, kFloat32, kFloat64 };

Held held_by(const LogSource& log, const Precision& precision) {
  if (precision.kind == Precision::Kind::kFloat32) return Held::kFloat32;
  const bool is_rounded = log.is_printed() && precision.kind == Precision::Kind::kPrinted;
  return is_rounded ? Held::kPrinted : Held::kFloat64;
}

// The precision of a site of a recording that was not read from a log is that of its bits.
std::map<std::string, Precision> precision_of(const ArmRecording& recording) {
  if (recording.log) return recording.log->precision;
  std::map<std::string, Precision> precision;
  for (const StreamContents& rank : recording.ranks) {
    for (const Observation& each : rank.observations) {
      if (each.dtype == Dtype::float32) precision[each.site].kind = Precision::Kind::kFloat32;
      if (each.dtype == Dtype::float64) precision[each.site].kind = Precision::Kind::kFloat64;
    }
  }
  return precision;
}

std::string names_text(const std::vector<std::string>& names) {
  std::string text;
  for (size_t i = 0; i < std::min(names.size(), kNamesShown); ++i) {
    text += (i == 0 ? "" : ", ") + names[i];
  }
  if (names.size() > kNamesShown) {
    text += " and " + std::to_string(names.size() - kNamesShown) + " more";
  }
  return text;
}

}  // namespace

double printed_value(double value, const Precision& precision) {
  if (!std::isfinite(value) || precision.kind != Precision::Kind::kPrinted) return value;
  int decimals = precision.decimals;
  if (!precision.is_uniform && precision.digits > 0) {
    decimals = std::min(decimals, precision.digits - 1 - exponent_of(value, precision.digits));
  }
  if (decimals < 0) {
    return read_back(value, std::chars_format::scientific, std::max(precision.digits - 1, 0));
  }
  return read_back(value, std::chars_format::fixed, decimals);
}

bool is_coarsened_by(const ArmRecording& recording, const ArmRecording& other) {
  return recording.log && other.log && !is_same_writer(*recording.log, *other.log);
}

ArmRecording coarsened(ArmRecording recording, const LogSource& other) {
  for (StreamContents& rank : recording.ranks) {
    for (Observation& each : rank.observations) {
      const auto held = other.precision.find(each.site);
      if (held == other.precision.end() || !each.bits || !is_floating_point(each.dtype)) continue;
      const Precision& own = recording.log->precision.at(each.site);
      const Held here = held_by(*recording.log, own);
      const Held there = held_by(other, held->second);
      const bool is_finer =
          here == Held::kPrinted ? coarser(held->second, own) != own : there < here;
      if (there > here || !is_finer) continue;
      const double value = scalar_value(each);
      if (there == Held::kFloat32) {
        each =
            observe_float32(each.step, each.phase, each.rank, each.site, static_cast<float>(value));
      } else {
        const double printed = printed_value(value, held->second);
        each = observe_tensor(each.step, each.phase, each.rank, each.site, Dtype::float64, {},
                              &printed);
      }
    }
  }
  return recording;
}

std::string precision_text(const ArmRecording& a, const ArmRecording& b) {
  if (!a.log && !b.log) return "";
  const std::map<std::string, Precision> of_a = precision_of(a);
  const std::map<std::string, Precision> of_b = precision_of(b);
  using Rank = std::tuple<Precision::Kind, int, int, std::string>;
  std::map<Rank, std::vector<std::string>> sites;
  for (const auto& [site, precision] : of_a) {
    const auto other = of_b.find(site);
    if (other == of_b.end()) continue;
    const Precision common = coarser(precision, other->second);
    const bool is_printed = common.kind == Precision::Kind::kPrinted;
    const bool has_digits = is_printed && !common.is_uniform;
    sites[{common.kind, is_printed ? common.decimals : 0, has_digits ? common.digits : 0,
           common.text()}]
        .push_back(site);
  }
  std::string text;
  for (const auto& [rank, names] : sites) {
    if (!text.empty()) text += ", ";
    text += std::get<std::string>(rank) + " (" + names_text(names) + ")";
  }
  return text;
}

}  // namespace samebits
