#pragma once

#include <string>
#include <utility>
#include <vector>

#include "harness/observe/computation.h"

namespace samebits {

// Why a value of two arms differs, by what led to it in each.
struct Cause {
  enum class Kind {
    kOperator,        // one whose inputs and arguments are equal, and whose output is not
    kArguments,       // it was called with others
    kInput,           // a value came in that differs, and that nothing observed before
    kOtherOperators,  // the arms compute it by other calls, of equal values
    kUnknown,         // no operator was seen to make it
  };
  Kind kind = Kind::kUnknown;
  // kOperator: its name, and the first of its results that differs, of each arm: of tensors that lie
  // over a mesh the whole, which says nothing of copies of other ranks, and adds what is pending.
  std::string op = {};
  bool is_over_mesh = false;
  at::Tensor a = {};
  at::Tensor b = {};
  // For a person, in the order to read them: "cause", a sentence; by name each input that differs;
  // "inputs" and "arguments", those that are equal; "calls", where they are others; "float64",
  // which result is nearer to one without roundings; "alone", what the call gives when it is
  // repeated by itself.
  std::vector<std::pair<std::string, std::string>> facts;
};

// `a` and `b`: the computations of the same site in the arms of these names, at step `step`, of
// values that differ. Everything observed before is taken to be equal.
Cause cause_of(const Computation& a, const Computation& b, const std::string& arm_a,
               const std::string& arm_b, int64_t step);

// Where a NaN or an infinity in a value came from: the operator whose inputs have none ("cause"), or
// the input that has one.
Cause cause_of_nonfinite(const Computation& computation, int64_t step);

// Whether dtype, shape and every bit are equal.
bool is_same_value(const at::Tensor& a, const at::Tensor& b);

}  // namespace samebits
