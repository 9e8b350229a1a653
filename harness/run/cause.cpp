#include "harness/run/cause.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <set>
#include <utility>

#include "harness/compare/rearrangement.h"
#include "harness/compare/tensor_difference.h"
#include "harness/compare/verdict.h"
#include "harness/dispatch/schema.h"
#include "harness/plant/fault.h"
#include "harness/run/cause_text.h"
#include "harness/run/float64_reference.h"
#include "harness/run/tensor_view.h"

namespace samebits {
namespace {

using Call = Computation::Call;
using Facts = std::vector<std::pair<std::string, std::string>>;

constexpr int kRepeats = 5;

struct Side {
  const std::string& arm;
  const Computation& computation;

  const Computation::Value& value(size_t index) const { return computation.values[index]; }
  const Call& call(size_t index) const { return computation.calls[index]; }
  const Computation::Value* made(size_t call, size_t output) const {
    for (const Computation::Value& value : computation.values) {
      if (value.call == call && value.output == output) return &value;
    }
    return nullptr;
  }
  // The first that is known of what it made.
  const Computation::Value* made(size_t call) const {
    for (const Computation::Value& value : computation.values) {
      if (value.call == call) return &value;
    }
    return nullptr;
  }
  const at::Tensor* output(size_t call, size_t output) const {
    const Computation::Value* value = made(call, output);
    return value == nullptr ? nullptr : &value->tensor;
  }
};

// Of all calls, views and copies of placement included.
std::string calls_text(const std::vector<Call>& calls) {
  std::vector<std::string> names;
  for (const Call& call : calls) names.push_back(call.name());
  return cut_list_text(names);
}

// "eps 1e-06 against 1e-05"; "" where all are equal.
std::string arguments_that_differ(const Call& a, const Call& b) {
  std::string text;
  if (a.name() != b.name()) return text;  // they have other arguments, for the same thing
  for (size_t i = 0; i < std::min(a.arguments.size(), b.arguments.size()); ++i) {
    if (a.arguments[i] == b.arguments[i]) continue;
    text += fmt::format("{}{} {} against {}", text.empty() ? "" : ", ", a.arguments[i].first,
                        a.arguments[i].second, b.arguments[i].second);
  }
  return text;
}

bool is_equal(const Computation::Value& a, const Computation::Value& b) {
  return a.apart.has_value() == b.apart.has_value() && is_same_value(a.tensor, b.tensor);
}

// A call of each arm, of the same operator.
struct Pair {
  size_t a;
  size_t b;
};

std::vector<size_t> inputs_that_differ(const Side& a, const Side& b, const Pair& pair) {
  std::vector<size_t> different;
  const auto& of_a = a.call(pair.a).inputs;
  const auto& of_b = b.call(pair.b).inputs;
  for (size_t i = 0; i < std::max(of_a.size(), of_b.size()); ++i) {
    const bool is_same = i < std::min(of_a.size(), of_b.size()) &&
                         is_equal(a.value(of_a[i].value), b.value(of_b[i].value));
    if (!is_same) different.push_back(i);
  }
  return different;
}

// Operators that give the value that they are given, elsewhere: a copy, other placements.
bool is_copy(const Call& call) {
  static const std::set<std::string> kNames = {"aten::clone",          "aten::copy_",
                                               "aten::contiguous",     "aten::to",
                                               "aten::_to_copy",       "samebits::redistribute",
                                               "samebits::full_tensor"};
  return kNames.contains(call.name());
}

// What a view or a copy shows: its first argument, or what is written over that.
size_t shown_by(const Call& call) {
  const size_t shown = call.name() == "aten::copy_" ? 1 : 0;
  return call.inputs[std::min(shown, call.inputs.size() - 1)].value;
}

enum class Copy { kNone, kTrue, kFalse };

// Whether a call is one, and gives what it was given. Values that lie over a mesh are kept whole.
Copy copy_of(const Side& side, size_t call) {
  const Call& at = side.call(call);
  const Computation::Value* output = side.made(call);
  if (!is_copy(at) || at.inputs.empty() || output == nullptr) return Copy::kNone;
  const Computation::Value& given = side.value(shown_by(at));
  if (given.apart) return Copy::kTrue;  // what came of it is the doing of who made it so
  if (given.tensor.scalar_type() != output->tensor.scalar_type() ||
      given.tensor.sizes() != output->tensor.sizes()) {
    return Copy::kNone;
  }
  return is_equal(given, *output) ? Copy::kTrue : Copy::kFalse;
}

// The call that made a value; of a view or a copy, that of what it shows.
std::optional<size_t> maker_of(const Side& side, size_t value) {
  std::optional<size_t> call = side.value(value).call;
  const auto shows_another = [&](size_t index) {
    const Call& at = side.call(index);
    return is_copy(at) ? copy_of(side, index) == Copy::kTrue : is_view(at.op.schema());
  };
  while (call && shows_another(*call)) {
    const std::optional<size_t> before = side.value(shown_by(side.call(*call))).call;
    if (!before) return call;
    call = before;
  }
  return call;
}

// By any of the names that programs may have for it: a trace has the copy that `to` makes.
bool is_same_operator(const Call& a, const Call& b) {
  const auto name = [](const Call& call) {
    return call.name() == "aten::to" ? "aten::_to_copy" : counted_name(call.name());
  };
  return name(a) == name(b);
}

// Where the ways to two values that differ part.
struct Values {  // one of each arm
  size_t a;
  size_t b;
};
struct Parting {
  std::optional<Pair> calls;  // of the same operator; none: the values were made by others
  Values values;              // that differ, and what made them does not
};

// The inputs of a call that calls made and that no input of the other call equals.
std::vector<size_t> inputs_without_equal(const Side& side, const Call& call, const Side& others,
                                         const Call& other) {
  std::vector<size_t> values;
  for (const Computation::Input& input : call.inputs) {
    const Computation::Value& value = side.value(input.value);
    const bool has_equal = std::any_of(
        other.inputs.begin(), other.inputs.end(),
        [&](const Computation::Input& each) { return is_equal(value, others.value(each.value)); });
    if (value.call && !has_equal) values.push_back(input.value);
  }
  return values;
}

// Of two calls of other operators: the one input of each that differs and has the same form in
// both, as the gradient that two operators for one backward take.
std::optional<Values> same_input(const Side& a, const Side& b, const Pair& calls) {
  const Call& call_a = a.call(calls.a);
  const Call& call_b = b.call(calls.b);
  std::optional<Values> same;
  for (const size_t x : inputs_without_equal(a, call_a, b, call_b)) {
    for (const size_t y : inputs_without_equal(b, call_b, a, call_a)) {
      const at::Tensor& of_a = a.value(x).tensor;
      const at::Tensor& of_b = b.value(y).tensor;
      if (of_a.sizes() != of_b.sizes() || of_a.scalar_type() != of_b.scalar_type()) continue;
      if (same) return std::nullopt;
      same = Values{x, y};
    }
  }
  return same;
}

// Follows inputs that differ, from the result back to calls of which none that differs was made by
// a call, or to values that the arms made by other operators.
Parting parting_of(const Side& a, const Side& b) {
  Parting at{std::nullopt, {a.computation.result, b.computation.result}};
  while (true) {
    const auto call_a = maker_of(a, at.values.a);
    const auto call_b = maker_of(b, at.values.b);
    if (!call_a || !call_b) {
      at.calls.reset();
      return at;
    }
    if (!is_same_operator(a.call(*call_a), b.call(*call_b))) {
      // A copy that is none is where they part, and not an operator for what the other arm does.
      const bool is_copied =
          copy_of(a, *call_a) == Copy::kFalse || copy_of(b, *call_b) == Copy::kFalse;
      const auto before = is_copied ? std::nullopt : same_input(a, b, {*call_a, *call_b});
      if (!before) {
        at.calls.reset();
        return at;
      }
      at.values = *before;
      continue;
    }
    at.calls = Pair{*call_a, *call_b};
    bool is_made = false;
    for (const size_t i : inputs_that_differ(a, b, *at.calls)) {
      const auto& of_a = a.call(at.calls->a).inputs;
      const auto& of_b = b.call(at.calls->b).inputs;
      if (i >= std::min(of_a.size(), of_b.size())) continue;
      if (!a.value(of_a[i].value).call && !b.value(of_b[i].value).call) continue;
      at.values.a = of_a[i].value;
      at.values.b = of_b[i].value;
      is_made = true;
      break;
    }
    if (!is_made) return at;
  }
}

// How often of kRepeats calls alone, on copies of the same inputs, the output is `wanted`.
int times_that_give(const Call& call, size_t output, const at::Tensor& wanted) {
  int times = 0;
  for (int i = 0; i < kRepeats; ++i) {
    const auto outputs = outputs_of(call);
    if (outputs && output < outputs->size() && is_same_value((*outputs)[output], wanted)) ++times;
  }
  return times;
}

std::string times_text(int times) {
  if (times == kRepeats) return fmt::format("always ({} of {})", times, kRepeats);
  return times == 0 ? "never" : fmt::format("{} of {} times", times, kRepeats);
}

// Which of the two first results is nearer to what their calls mean without roundings.
std::string nearer_text(const Side& a, const Side& b, const Pair& pair) {
  const Call& of_a = a.call(pair.a);
  const Call& of_b = b.call(pair.b);
  const at::Tensor* x = a.output(pair.a, 0);
  const at::Tensor* y = b.output(pair.b, 0);
  const auto reference_a = float64_reference(of_a);
  const auto reference_b = float64_reference(of_b);
  if (!reference_a || !reference_b)
    return "not evaluated: no definition of " + (reference_a ? of_b : of_a).name();
  const bool is_comparable = x != nullptr && y != nullptr && x->is_floating_point() &&
                             x->sizes() == reference_a->sizes() && y->sizes() == x->sizes() &&
                             reference_b->sizes() == x->sizes();
  if (!is_comparable) return "not evaluated: the results have no elements to compare with it";
  const at::Tensor error_a = (x->to(at::kDouble) - *reference_a).abs();
  const at::Tensor error_b = (y->to(at::kDouble) - *reference_b).abs();
  // Of other arguments each side has a reference of its own, also where the results are equal.
  const at::Tensor differs = x->to(at::kDouble) != y->to(at::kDouble);
  const auto count = [&](const at::Tensor& which) {
    return at::logical_and(differs, which).sum().item<int64_t>();
  };
  std::string text = fmt::format(
      "of {} elements that differ {} is nearer in {}, {} in {}; largest error {:.3g} against "
      "{:.3g}",
      count(differs), a.arm, count(error_a < error_b), b.arm, count(error_b < error_a),
      error_a.numel() == 0 ? 0.0 : error_a.max().item<double>(),
      error_b.numel() == 0 ? 0.0 : error_b.max().item<double>());
  if (of_a.name() != of_b.name() || !arguments_that_differ(of_a, of_b).empty()) {
    text += " (each with its own arguments)";
  }
  return text;
}

// The first result of the two calls that differs.
struct Result {
  const Computation::Value& a;
  const Computation::Value& b;
};

std::optional<Result> result_that_differs(const Side& a, const Side& b, const Pair& pair) {
  for (const Computation::Value& value : a.computation.values) {
    if (value.call != pair.a) continue;
    const Computation::Value* other = b.made(pair.b, value.output);
    if (other == nullptr || is_same_value(value.tensor, other->tensor)) continue;
    return Result{value, *other};
  }
  return std::nullopt;
}

bool is_what_was_observed(const Side& a, const Result& result) {
  return &result.a == &a.value(a.computation.result);
}

// How two values differ, in one line; their forms, where those do.
std::string difference_text(const at::Tensor& of_a, const at::Tensor& of_b) {
  const TensorView a = view_of("a", of_a);
  const TensorView b = view_of("b", of_b);
  if (a.dtype == b.dtype && a.shape == b.shape) return difference_of(a, b).brief();
  return form_text(a.dtype, a.shape) + " against " + form_text(b.dtype, b.shape);
}

// How the second result has the elements of the first in other places; "" where it has others.
std::string moved_text(const Result& result) {
  const TensorView a = view_of("a", result.a.tensor);
  const TensorView b = view_of("b", result.b.tensor);
  return a.dtype == b.dtype && a.shape == b.shape ? rearrangement_text(a, b) : "";
}

// How often of kRepeats the calls give what they gave in the run: whether the difference is theirs.
// nullopt where they cannot be repeated.
struct Alone {
  int a;
  int b;
};

std::optional<Alone> alone(const Side& a, const Side& b, const Pair& pair,
                           const Computation::Value& of_a, const Computation::Value& of_b) {
  const Call& call_a = a.call(pair.a);
  const Call& call_b = b.call(pair.b);
  if (!call_a.is_repeatable || !call_b.is_repeatable) return std::nullopt;
  return Alone{times_that_give(call_a, of_a.output, of_a.tensor),
               times_that_give(call_b, of_b.output, of_b.tensor)};
}

std::string alone_text(const Side& a, const Side& b, const std::optional<Alone>& times) {
  if (!times) return "not done: its tensors lie over a mesh";
  return fmt::format("the call of {} gives its value {}, that of {} {}", a.arm,
                     times_text(times->a), b.arm, times_text(times->b));
}

// Of caches that differ: the first call of this step that left another one than the other arm's,
// where both found the same there and were given the same.
std::optional<Cause> cause_of_write(const Side& a, const Side& b, const Values& caches) {
  const std::vector<Computation::Write>& of_a = a.value(caches.a).writes;
  const std::vector<Computation::Write>& of_b = b.value(caches.b).writes;
  for (size_t i = 0; i < std::min(of_a.size(), of_b.size()); ++i) {
    const bool is_same_call = of_a[i].op == of_b[i].op && of_a[i].given == of_b[i].given;
    if (!is_same_call) return std::nullopt;
    if (of_a[i].left == of_b[i].left) continue;
    if (of_a[i].op.empty()) return std::nullopt;  // nobody saw who left it
    Cause cause;
    cause.kind = Cause::Kind::kOperator;
    cause.op = of_b[i].op;
    cause.number = of_b[i].number;
    cause.facts.emplace_back("cause", cause.op +
                                          " itself: it was given the same, and left another cache, "
                                          "of which a later call reads");
    return cause;
  }
  return std::nullopt;
}

Cause cause_at(const Side& a, const Side& b, const Pair& pair, const Values& parting,
               int64_t step) {
  const Call& call = a.call(pair.a);
  const Call& other = b.call(pair.b);
  const std::vector<size_t> inputs = inputs_that_differ(a, b, pair);
  const std::string arguments = arguments_that_differ(call, other);
  Cause cause;
  std::string text;
  Facts details;
  for (const size_t i : inputs) {
    if (i >= std::min(call.inputs.size(), other.inputs.size())) continue;
    const Computation::Value& of_a = a.value(call.inputs[i].value);
    const Computation::Value& of_b = b.value(other.inputs[i].value);
    if (is_cache(call.inputs[i].name)) {
      const Values caches{call.inputs[i].value, other.inputs[i].value};
      if (auto written = cause_of_write(a, b, caches)) return *written;
    }
    text += fmt::format("{}input {} of {} differs: {}", text.empty() ? "" : "; ",
                        call.inputs[i].name, call.name(), origin_text(of_a, step));
    details.emplace_back(call.inputs[i].name, difference_text(of_a.tensor, of_b.tensor));
  }
  if (!inputs.empty() && text.empty()) text = call.name() + " takes other inputs";
  cause.kind = inputs.empty() ? Cause::Kind::kOperator : Cause::Kind::kInput;
  if (!arguments.empty()) {
    if (inputs.empty()) cause.kind = Cause::Kind::kArguments;
    text += (text.empty() ? "" : "; and ") + call.name() + " has other arguments: " + arguments;
  }
  const std::optional<Result> result = result_that_differs(a, b, pair);
  if (cause.kind == Cause::Kind::kOperator) {
    const std::string moved = result ? moved_text(*result) : "";
    text = call.name() + " itself: its inputs and arguments are equal, and its output " +
           (moved.empty() ? "is not" : "has the same elements in other places, " + moved);
  }
  cause.facts.emplace_back("cause", text);
  cause.facts.insert(cause.facts.end(), details.begin(), details.end());
  std::vector<std::string> equal;
  for (size_t i = 0; i < call.inputs.size(); ++i) {
    const bool differs = std::find(inputs.begin(), inputs.end(), i) != inputs.end();
    if (!differs) equal.push_back(input_text(a.computation, call.inputs[i]));
  }
  if (!equal.empty()) cause.facts.emplace_back("inputs", "equal: " + list_text(folded(equal)));
  if (cause.kind == Cause::Kind::kOperator && !call.arguments.empty()) {
    std::vector<std::string> same;
    for (const auto& [name, value] : call.arguments) same.push_back(name + " " + value);
    cause.facts.emplace_back("arguments", "equal: " + list_text(same));
  }
  if (inputs.empty()) cause.facts.emplace_back("float64", nearer_text(a, b, pair));
  if (result && !is_what_was_observed(a, *result)) {
    cause.facts.emplace_back("result", difference_text(result->a.tensor, result->b.tensor));
  }
  if (result) {
    cause.facts.emplace_back("alone", alone_text(a, b, alone(a, b, pair, result->a, result->b)));
  }
  if (cause.kind != Cause::Kind::kOperator) return cause;
  cause.op = call.name();
  cause.number = other.number;
  cause.is_over_mesh = !call.is_repeatable;
  cause.a = result ? result->a.tensor : a.value(parting.a).tensor;
  cause.b = result ? result->b.tensor : b.value(parting.b).tensor;
  return cause;
}

// A copy that is none needs no other arm to be found: nullopt where the value was made by another
// call. `a` of the cause is what it was given, `b` what it gave.
std::optional<Cause> false_copy(const Side& side, size_t value) {
  const auto call = maker_of(side, value);
  if (!call || copy_of(side, *call) != Copy::kFalse) return std::nullopt;
  Cause cause;
  cause.kind = Cause::Kind::kOperator;
  cause.op = side.call(*call).name();
  cause.number = side.call(*call).number;
  cause.is_over_mesh = !side.call(*call).is_repeatable;
  cause.a = side.value(shown_by(side.call(*call))).tensor;
  cause.b = side.made(*call)->tensor;
  cause.facts.emplace_back(
      "cause",
      fmt::format("{} itself: in {} it gives another value than it is given", cause.op, side.arm));
  return cause;
}

// The arms made two values by other operators: what both start from, by site.
Cause cause_of_other_calls(const Side& a, const Side& b, const Parting& at, int64_t step) {
  Cause cause;
  std::vector<std::string> equal;
  for (const Computation::Value& value : a.computation.values) {
    if (value.call || value.site.empty()) continue;
    for (const Computation::Value& other : b.computation.values) {
      if (other.call || other.site != value.site) continue;
      if (!is_same_value(value.tensor, other.tensor)) {
        cause.kind = Cause::Kind::kInput;
        cause.facts.emplace_back("cause", "an input differs: " + origin_text(value, step));
        return cause;
      }
      equal.push_back(value.site);
    }
  }
  const auto maker_text = [](const Side& side, size_t value) {
    const auto call = maker_of(side, value);
    return call ? side.call(*call).name() : std::string("none that was seen");
  };
  cause.kind = Cause::Kind::kOtherOperators;
  cause.facts.emplace_back(
      "cause", fmt::format("the arms compute it by other operators: {} in {}, "
                           "{} in {}",
                           maker_text(a, at.values.a), a.arm, maker_text(b, at.values.b), b.arm));
  cause.facts.emplace_back(
      "calls", fmt::format("{}: {}; {}: {}", a.arm, calls_text(a.computation.calls), b.arm,
                           calls_text(b.computation.calls)));
  if (!equal.empty()) cause.facts.emplace_back("inputs", "equal: " + list_text(folded(equal)));
  const auto call_a = maker_of(a, at.values.a);
  const auto call_b = maker_of(b, at.values.b);
  if (!call_a || !call_b) return cause;
  const Pair pair{*call_a, *call_b};
  cause.facts.emplace_back("float64", nearer_text(a, b, pair));
  const Computation::Value& of_a = *a.made(pair.a);
  const Computation::Value& of_b = *b.made(pair.b);
  const std::optional<Alone> times = alone(a, b, pair, of_a, of_b);
  cause.facts.emplace_back("alone", alone_text(a, b, times));
  if (!times || std::max(times->a, times->b) < kRepeats || std::min(times->a, times->b) > 0) {
    return cause;
  }
  // One gives its value whenever it is called, and the other gave it in the run alone.
  const Side& side = times->a == 0 ? a : b;
  const Call& call = times->a == 0 ? a.call(pair.a) : b.call(pair.b);
  cause.kind = Cause::Kind::kOperator;
  cause.op = call.name();
  cause.number = call.number;
  cause.a = of_a.tensor;
  cause.b = of_b.tensor;
  cause.facts.front().second =
      fmt::format("{} itself: in {} it gave another value than it gives alone", cause.op, side.arm);
  return cause;
}

}  // namespace

bool is_same_value(const at::Tensor& a, const at::Tensor& b) {
  if (a.scalar_type() != b.scalar_type() || a.sizes() != b.sizes()) return false;
  return a.nbytes() == 0 || std::memcmp(a.const_data_ptr(), b.const_data_ptr(), a.nbytes()) == 0;
}

Cause cause_of(const Computation& a, const Computation& b, const std::string& arm_a,
               const std::string& arm_b, int64_t step) {
  const Side side_a{arm_a, a};
  const Side side_b{arm_b, b};
  if (a.calls.empty() || b.calls.empty()) {
    Cause unknown;
    unknown.facts.emplace_back("cause", "not known: no operator was seen to make it in " +
                                            (a.calls.empty() ? arm_a : arm_b));
    return unknown;
  }
  const Parting at = parting_of(side_a, side_b);
  if (at.calls) return cause_at(side_a, side_b, *at.calls, at.values, step);
  if (auto cause = false_copy(side_b, at.values.b)) return *cause;
  if (auto cause = false_copy(side_a, at.values.a)) {
    std::swap(cause->a, cause->b);
    return *cause;
  }
  return cause_of_other_calls(side_a, side_b, at, step);
}

std::optional<Cause> cause_of_false_copy(const Computation& computation, const std::string& arm) {
  if (!computation.is_known()) return std::nullopt;
  return false_copy({arm, computation}, computation.result);
}

}  // namespace samebits
