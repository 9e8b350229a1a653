#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "harness/observe/computation.h"

namespace samebits {

// Why a value of two arms differs, by what led to it in each.
struct Cause {
  enum class Kind {
    kOperator,        // one whose inputs and arguments are equal, and whose output is not; or that
                      // gave what it does not give alone
    kArguments,       // it was called with others
    kInput,           // a value came in that differs, and that nothing observed before
    kOtherOperators,  // the arms compute it by other calls, of equal values
    kReplay,          // an arm gives it only as it replays what it captured
    kUnknown,         // no operator was seen to make it
  };
  Kind kind = Kind::kUnknown;
  // kOperator: its name, which of its calls in that phase it is (Computation::Call), and the first
  // of its results that differs, of each arm: of tensors that lie over a mesh the whole, which says
  // nothing of copies of other ranks, and adds what is pending; of who wrote a cache that a later
  // call reads, none. kReplay: the name alone, of the one operator that gives the value where the
  // graph runs node by node; "" of several.
  std::string op = {};
  int64_t number = 0;  // in the second of the arms
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

// Of a value that `arm` gives only as it replays what it captured: run node by node, its graph gives
// by these calls what `other` gives.
Cause cause_of_replay(const Computation& by_nodes, const std::string& arm,
                      const std::string& other);

// Of a value of `arm` that a copy made, and that is another one than the copy was given; nullopt of
// any other value.
std::optional<Cause> cause_of_false_copy(const Computation& computation, const std::string& arm);

// Where a NaN or an infinity in a value came from: the operator whose inputs have none ("cause"), or
// the input that has one.
Cause cause_of_nonfinite(const Computation& computation, int64_t step);

// Why ranks that are to hold the same hold other copies of a value: the operator that was given the
// same on all ranks and left them apart, or the input that came in apart.
Cause cause_of_copies_apart(const Computation& computation, int64_t step);

// Whether dtype, shape and every bit are equal.
bool is_same_value(const at::Tensor& a, const at::Tensor& b);

}  // namespace samebits
