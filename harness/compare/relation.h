#pragma once

#include <cstdint>
#include <optional>

#include "harness/case/case.h"
#include "harness/observe/observation.h"

// What may hold between two observations of the same site. Three separate questions; none has a
// default bound. A tensor whose elements were not kept is known by its digest alone, so only
// bit_exact can judge it fully.
namespace samebits {

enum class Agreement {
  kHolds,
  kFails,
  kUnknown,  // digests of floating-point tensors differ, and a digest knows no distance
};

// Same dtype, shape and bits: +0 is not -0, a NaN equals a NaN of the same bits.
Agreement bit_exact(const Observation& a, const Observation& b);

// Same dtype and shape, and scalars, or all elements that were kept, at most `max_ulp` representable
// values apart: +0 equals -0, NaNs of different bits are infinitely far apart. Integers must be
// equal.
Agreement within_ulp(const Observation& a, const Observation& b, uint64_t max_ulp);

// |a - b| <= atol + rtol * |b|, as torch.allclose with equal_nan=False; equal infinities are close.
// Of scalars, or of all elements that were kept. Integers must be equal.
Agreement allclose(const Observation& a, const Observation& b, double rtol, double atol);

// The one that `relation` asks for; must_diverge asks for bit_exact, and wants it to fail.
Agreement judge(const Relation& relation, const Observation& a, const Observation& b);

// How far apart two scalars of one floating-point dtype are; nullopt for anything else.
std::optional<uint64_t> scalar_ulp(const Observation& a, const Observation& b);

// "3 ULP", or "NaN against a number" for kUlpNan.
std::string ulp_text(uint64_t distance);

// A relation from the command line: "bit_exact", "must_diverge", "ulp:4", "allclose:1e-5,1e-8".
// Throws InputError. `arms` stays empty.
Relation relation_from_text(const std::string& text);

}  // namespace samebits
