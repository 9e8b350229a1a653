// Causes that the calls of one arm show by themselves.
#include <fmt/format.h>

#include <functional>
#include <optional>

#include "harness/compare/verdict.h"
#include "harness/dispatch/schema.h"
#include "harness/run/cause.h"
#include "harness/run/cause_text.h"
#include "harness/run/tensor_view.h"

namespace samebits {
namespace {

int64_t nonfinite_in(const at::Tensor& tensor) {
  const TensorView view = view_of("", tensor);
  return count_nonfinite(view.dtype, view.data.data(), tensor.numel());
}

// What may be wrong with a value, and how that is said.
struct Wrong {
  std::function<bool(const Computation::Value&)> is_wrong;
  std::function<std::string(const Computation::Value&)> of_value;  // "has 3 that are ..."
  std::string otherwise;                                           // of inputs: "finite"
};

// Follows a value that is wrong back to the call of which no input is, or to the input that is and
// that no call made.
Cause cause_of_wrong(const Computation& computation, int64_t step, const Wrong& wrong) {
  Cause cause;
  size_t value = computation.result;
  while (const std::optional<size_t> index = computation.values[value].call) {
    const Computation::Call& call = computation.calls[*index];
    std::optional<size_t> bad;
    std::vector<std::string> right;
    for (const Computation::Input& input : call.inputs) {
      const Computation::Value& given = computation.values[input.value];
      const bool is_wrong = wrong.is_wrong(given);
      if (!is_wrong) right.push_back(input_text(computation, input));
      if (!is_wrong || bad || is_cache(input.name)) continue;
      bad = input.value;
      if (given.call) continue;
      cause.kind = Cause::Kind::kInput;
      cause.facts.emplace_back("cause",
                               fmt::format("input {} of {} {}: {}", input.name, call.name(),
                                           wrong.of_value(given), origin_text(given, step)));
      return cause;
    }
    if (!bad) {
      cause.kind = Cause::Kind::kOperator;
      cause.op = call.name();
      cause.number = call.number;
      cause.is_over_mesh = !call.is_repeatable;
      cause.facts.emplace_back("cause", call.name() + " itself: its inputs are " + wrong.otherwise);
      if (!right.empty()) {
        cause.facts.emplace_back("inputs", wrong.otherwise + ": " + list_text(folded(right)));
      }
      return cause;
    }
    value = *bad;
  }
  cause.facts.emplace_back("cause", "not known: no operator was seen to make it");
  return cause;
}

}  // namespace

Cause cause_of_replay(const Computation& by_nodes, const std::string& arm,
                      const std::string& other) {
  std::vector<std::string> names;
  for (const Computation::Call& call : by_nodes.calls) {
    if (!is_view(call.op.schema())) names.push_back(call.name());
  }
  Cause cause;
  cause.kind = Cause::Kind::kReplay;
  if (names.size() == 1) cause.op = names[0];
  const std::string where = names.empty()       ? "what it takes"
                            : names.size() == 1 ? names[0]
                                                : fmt::format("one of {} calls", names.size());
  cause.facts.emplace_back(
      "cause",
      fmt::format("the replay in {}, at {}: run node by node its graph gives what {} gives", arm,
                  where, other));
  if (names.size() > 1) cause.facts.emplace_back("calls", cut_list_text(names));
  return cause;
}

Cause cause_of_nonfinite(const Computation& computation, int64_t step) {
  return cause_of_wrong(
      computation, step,
      {[](const Computation::Value& value) { return nonfinite_in(value.tensor) > 0; },
       [](const Computation::Value& value) {
         return fmt::format("has {} that are NaN or infinite", nonfinite_in(value.tensor));
       },
       "finite"});
}

Cause cause_of_copies_apart(const Computation& computation, int64_t step) {
  return cause_of_wrong(computation, step,
                        {[](const Computation::Value& value) { return value.apart.has_value(); },
                         [](const Computation::Value&) { return "is not the same on all ranks"; },
                         "the same on all ranks"});
}

}  // namespace samebits
