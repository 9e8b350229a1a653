#pragma once

#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/library.h>

#include <string>
#include <type_traits>
#include <utility>

#include "harness/dispatch/device_error.h"
#include "harness/dispatch/operator_traits.h"
#include "harness/kernels/shape_rule.h"

// How an operator of the contract list is defined, and called with types. Each has a file here with
// its schema, traits, shape rule and gradient; the header of its name states the arithmetic, cpu/
// and cuda/ have its kernels, dtensor/strategies/ its placements.
//
// Shapes: T tokens (of one sequence, or of several packed one after the other), H query heads, G
// key-value heads, D head_dim, V vocabulary rows (padded to a multiple of 8), S sequences.
namespace samebits {

// Defines "name(Tensor x, ...) -> Tensor" with all that does not depend on a device. `!` in a schema
// marks what the operator writes. Without a gradient autograd passes through the operator: it
// chooses, stores, measures or updates, it is the backward of another one (whose formula refuses
// second derivatives), or it is what a captured graph, which has no gradients, is given for several
// others.
template <typename Gradient = void()>
void define(torch::Library& m, const std::string& schema, ShapeRule shapes,
            const OperatorTraits& traits = {}, Gradient* gradient = nullptr) {
  const std::string name = schema.substr(0, schema.find('('));
  m.def(schema.c_str());
  register_shape_rule("samebits::" + name, shapes);
  register_traits("samebits::" + name, traits);
  if constexpr (std::is_same_v<Gradient, void()>) {
    m.impl(name.c_str(),
           torch::dispatch(c10::DispatchKey::Autograd, torch::CppFunction::makeFallthrough()));
  } else {
    m.impl(name.c_str(), torch::dispatch(c10::DispatchKey::Autograd, torch::CppFunction(gradient)));
  }
}

// The typed call of an operator, looked up once. `Signature` is checked against the schema then. An
// error of a card names the operator.
template <typename Signature>
class Operator;
template <typename Result, typename... Args>
class Operator<Result(Args...)> {
 public:
  explicit Operator(const char* name)
      : handle_(c10::Dispatcher::singleton()
                    .findSchemaOrThrow(name, "")
                    .template typed<Result(Args...)>()) {}
  Result operator()(Args... args) const {
    return naming_operator(handle_,
                           [&]() -> Result { return handle_.call(std::forward<Args>(args)...); });
  }

 private:
  c10::TypedOperatorHandle<Result(Args...)> handle_;
};

}  // namespace samebits
