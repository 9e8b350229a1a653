#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/ivalue.h>

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "harness/capture/sym/expr.h"
#include "harness/capture/sym/shape_env.h"

namespace samebits::ir {

using ValueId = int;

// What is known of a tensor without its data.
struct ValueMeta {
  std::vector<sym::Expr> sizes;  // global sizes of a DTensor
  c10::ScalarType dtype = c10::ScalarType::Float;
  std::string placements;  // "S(2)", "R"; empty: a plain tensor
};

enum class ValueKind { input, constant, result };

// A tensor of the program. Names are unique: %in0 (input), %c0 (constant), %12 (result).
struct Value {
  ValueKind kind;
  ValueMeta meta;
  std::string name;
  std::string site;     // given by samebits::mark, else empty
  at::Tensor constant;  // constants: the tensor itself, shared with the program
};

// One argument of a call. Tensors are values, symbolic integers expressions, the rest as it was.
struct Arg {
  struct List {
    c10::TypePtr element_type;  // Tensor or Optional[Tensor]: a tensor list; Int: an integer list
    std::vector<Arg> items;
  };
  struct Ref {
    ValueId value;
  };
  std::variant<c10::IValue, Ref, sym::Expr, List> data;
};

// A call of one operator. Nodes without results are there for their effect, and all keep their
// order.
struct Node {
  c10::OperatorHandle op;
  std::vector<Arg> args;  // one for each argument of the schema
  // One for each returned tensor. A return that is one of the arguments (in place) is that value.
  std::vector<ValueId> outputs;
  bool returns_list = false;  // the schema returns one Tensor[]; outputs are its elements

  bool has_effect() const;  // writes an argument, or gives nothing back
};

// Which input sizes are symbols: bound from there when the graph runs.
struct SymbolBinding {
  int symbol;
  int input;
  int dim;
};

// A traced program: straight-line calls in program order. Owns its constants by reference, so what
// the program's owner writes into them in place is seen by the next run.
struct Graph {
  std::vector<Value> values;
  std::vector<Node> nodes;
  std::vector<ValueId> inputs;
  std::vector<ValueId> outputs;
  std::vector<SymbolBinding> bindings;    // by symbol id
  std::vector<ShapeEnv::Symbol> symbols;  // by id
  std::vector<Guard> guards;

  ValueId add_input(ValueMeta meta);
  ValueId add_constant(at::Tensor tensor, ValueMeta meta);
  ValueId add_result(ValueMeta meta);
};

// Calls f(ValueId) for every value among the arguments, in order.
template <typename F>
void for_each_value(const Arg& arg, F&& f) {
  if (const auto* ref = std::get_if<Arg::Ref>(&arg.data)) {
    f(ref->value);
  } else if (const auto* list = std::get_if<Arg::List>(&arg.data)) {
    for (const Arg& item : list->items) for_each_value(item, f);
  }
}

// "samebits::linear", "aten::add.Tensor".
std::string op_name(const c10::OperatorHandle& op);

// A node's argument by its name in the operator's schema. A name that the schema lacks throws
// c10::Error.
const Arg& argument(const Node& node, const std::string& name);

// Throws an internal error where a value is used before it is defined, defined twice, or out of
// range. For tests and after passes.
void check(const Graph& graph);

}  // namespace samebits::ir
