#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <vector>

#include "tests/kernels/draw.h"

namespace samebits::testing {

// One call of an operator. `run` may write its arguments; what it writes is among what it returns.
struct RandomCall {
  std::vector<at::Tensor> inputs;
  std::function<std::vector<at::Tensor>(const std::vector<at::Tensor>&)> run;
};

struct RandomOperator {
  const char* name;  // without "samebits::"
  RandomCall (*draw)(Draw&);
};

// Every operator of the contract list but `mark`, which computes nothing, by name.
const std::vector<RandomOperator>& random_operators();

}  // namespace samebits::testing
