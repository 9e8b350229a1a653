#include "harness/compare/relation.h"

#include <cmath>

#include "harness/base/error.h"
#include "harness/base/json.h"
#include "harness/bits/ulp.h"
#include "harness/compare/tensor_difference.h"

namespace samebits {
namespace {

bool has_same_form(const Observation& a, const Observation& b) {
  return a.dtype == b.dtype && a.shape == b.shape;
}

Agreement from_bool(bool holds) { return holds ? Agreement::kHolds : Agreement::kFails; }

// Whether `holds(a_bits, b_bits)` of two floating-point scalars, or of each two elements of tensors
// that were kept. Form and integers are judged by their bits; so are tensors that were not kept.
template <class Holds>
Agreement judge_values(const Observation& a, const Observation& b, const Holds& holds) {
  if (!has_same_form(a, b)) return Agreement::kFails;
  if (!is_floating_point(a.dtype)) return bit_exact(a, b);
  if (a.bits && b.bits) return from_bool(holds(*a.bits, *b.bits));
  const TensorView* const kept_a = a.kept.tensor;
  const TensorView* const kept_b = b.kept.tensor;
  if (kept_a == nullptr || kept_b == nullptr) {
    return a.digest == b.digest ? Agreement::kHolds : Agreement::kUnknown;
  }
  const auto count = static_cast<int64_t>(kept_a->data.size() / dtype_size(a.dtype));
  for (int64_t i = 0; i < count; ++i) {
    if (!holds(bits_at(*kept_a, i), bits_at(*kept_b, i))) return Agreement::kFails;
  }
  return Agreement::kHolds;
}

double bound_from_text(const std::string& text, const std::string& where) {
  const Json value = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!value.is_number() || value.get<double>() < 0) {
    throw InputError(where, quoted(text), "a number of at least 0");
  }
  return value.get<double>();
}

}  // namespace

Agreement bit_exact(const Observation& a, const Observation& b) {
  return from_bool(has_same_form(a, b) && a.digest == b.digest && a.bits == b.bits);
}

Agreement within_ulp(const Observation& a, const Observation& b, uint64_t max_ulp) {
  return judge_values(a, b, [&](uint64_t a_bits, uint64_t b_bits) {
    const uint64_t distance = ulp_distance(a.dtype, a_bits, b_bits);
    return distance != kUlpNan && distance <= max_ulp;
  });
}

Agreement allclose(const Observation& a, const Observation& b, double rtol, double atol) {
  return judge_values(a, b, [&](uint64_t a_bits, uint64_t b_bits) {
    const double x = value_of(a.dtype, a_bits);
    const double y = value_of(b.dtype, b_bits);
    if (std::isinf(x) || std::isinf(y)) return x == y;
    return std::abs(x - y) <= atol + rtol * std::abs(y);  // false for a NaN
  });
}

Agreement judge(const Relation& relation, const Observation& a, const Observation& b) {
  switch (relation.holds) {
    case Holds::kUlp:
      return within_ulp(a, b, static_cast<uint64_t>(relation.max_ulp));
    case Holds::kAllclose:
      return allclose(a, b, relation.rtol, relation.atol);
    case Holds::kBitExact:
    case Holds::kMustDiverge:
    case Holds::kNothing:
      break;
  }
  return bit_exact(a, b);
}

std::optional<uint64_t> scalar_ulp(const Observation& a, const Observation& b) {
  if (!has_same_form(a, b) || !is_floating_point(a.dtype) || !a.bits || !b.bits) {
    return std::nullopt;
  }
  return ulp_distance(a.dtype, *a.bits, *b.bits);
}

std::string ulp_text(uint64_t distance) {
  return distance == kUlpNan ? "NaN against a number" : std::to_string(distance) + " ULP";
}

Relation relation_from_text(const std::string& text) {
  const std::string where = "--relation " + text;
  const size_t colon = text.find(':');
  const std::string name = text.substr(0, colon);
  const std::string bounds = colon == std::string::npos ? "" : text.substr(colon + 1);
  Relation relation;
  if (name == "ulp" && !bounds.empty()) {
    const double max_ulp = bound_from_text(bounds, where);
    if (max_ulp != std::floor(max_ulp) || max_ulp > 1e15) {
      throw InputError(where, quoted(bounds), "a whole number of ULP");
    }
    relation.holds = Holds::kUlp;
    relation.max_ulp = static_cast<int64_t>(max_ulp);
  } else if (const size_t comma = bounds.find(',');
             name == "allclose" && comma != std::string::npos) {
    relation.holds = Holds::kAllclose;
    relation.rtol = bound_from_text(bounds.substr(0, comma), where);
    relation.atol = bound_from_text(bounds.substr(comma + 1), where);
  } else if (text == "bit_exact" || text == "must_diverge") {
    relation.holds = text == "bit_exact" ? Holds::kBitExact : Holds::kMustDiverge;
  } else {
    throw InputError(where, quoted(text), "bit_exact, must_diverge, ulp:MAX or allclose:RTOL,ATOL");
  }
  return relation;
}

}  // namespace samebits
