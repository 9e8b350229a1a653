#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/ivalue.h>

#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "harness/bits/digest.h"

namespace samebits {

// How a value came to be: the operator calls that lead to it from values that were observed
// themselves, from weights, and from what the program was given.
struct Computation {
  // A call that wrote into a cache.
  struct Write {
    std::string op = {};
    int64_t number = 0;              // as a call's
    std::vector<Digest> given = {};  // of its other tensors
    Digest left;                     // of the whole cache, afterwards
  };
  struct Value {
    at::Tensor tensor;             // on the CPU, whole and contiguous, as it was at that time
    std::string site;              // where it was observed, or the weight's; "" for no such place
    std::optional<size_t> call;    // that made it; none: it came in from outside of these calls
    size_t output = 0;             // which of that call's (outputs_of)
    const void* memory = nullptr;  // where it lay, by which a weight is known
    // The copy of the first rank of a mesh that holds another one than rank 0; none where all
    // ranks hold the same.
    std::optional<at::Tensor> apart = {};
    // Of a cache: the calls of this step that wrote there before, in their order, whose values are
    // not kept. What a call found there that none of them left is a write of no operator.
    std::vector<Write> writes = {};
  };
  struct Input {
    std::string name;  // of the operator's argument: "weight"
    size_t value;      // of `values`
  };
  struct Call {
    c10::OperatorHandle op;
    std::vector<c10::IValue> args;  // tensors are copies, of those over a mesh the whole
    bool is_repeatable = false;     // no tensor lies over a mesh
    std::vector<std::pair<std::string, std::string>> arguments;  // that hold no tensor, as text
    std::vector<Input> inputs;
    // Which of its phase's calls of that operator, from 0 (counted_name() in plant/fault.h).
    int64_t number = 0;

    std::string name() const { return op.operator_name().name; }  // "samebits::rms_norm"
  };

  std::vector<Value> values;
  std::vector<Call> calls;  // in the order in which they ran; none: no operator was seen to make it
  size_t result = 0;        // of `values`

  bool is_known() const { return !values.empty(); }
  const at::Tensor& value() const { return values[result].tensor; }
};

// Whether an argument of that name is a cache of keys and values: what a call finds there was left
// by many others, and pages that nobody wrote hold NaN (model/kv_cache.h).
inline bool is_cache(const std::string& argument) { return argument.ends_with("_cache"); }

// Calls the operator again on copies of its arguments, and gives what it returned, lists flattened,
// then the arguments that it wrote: the order of Value::output. None where it cannot be repeated.
std::optional<std::vector<at::Tensor>> outputs_of(const Computation::Call& call);

// As it lies on the CPU, whole where it lay over a mesh, and sharing memory with nothing.
at::Tensor copy_of_whole(const at::Tensor& tensor);

// The tensors in an argument or a result, those of a list one by one; undefined ones left out.
std::vector<at::Tensor> tensors_in(const c10::IValue& value);

}  // namespace samebits
