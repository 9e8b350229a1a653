#pragma once

#include <string>
#include <vector>

namespace samebits {

// What an operator is to whoever captures, cuts or distributes programs of it. Registered beside
// its schema (kernels/ops/operator.h, dtensor/ops.cpp).
struct OperatorTraits {
  // On a CPU its tensors' elements are touched in launches only (launch.h), so that it may be called
  // while a thread captures.
  bool is_replayable = false;
  // Attention: a piecewise replay cuts a program here, and runs it eagerly.
  bool is_attention = false;
  // Leads into, out of or between placements. Its results share the memory of its arguments,
  // although the schema has no mark for it: they are another kind of tensor, or a list.
  bool is_conversion = false;
};

// `op` is the operator's name: "samebits::linear".
void register_traits(const std::string& op, const OperatorTraits& traits);
bool has_traits(const std::string& op);
// All false where none were registered, as for an operator of torch's.
OperatorTraits traits_of(const std::string& op);

// The names of operators that a piecewise replay cuts at, sorted.
std::vector<std::string> attention_operators();

}  // namespace samebits
