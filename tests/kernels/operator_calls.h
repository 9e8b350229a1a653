#pragma once

#include <ATen/core/ivalue.h>

#include <string>
#include <vector>

#include "tests/kernels/draw.h"

// One table of what the operators of the contract list are called with: whoever tests all of them
// draws from it.
namespace samebits::testing {

// Arguments of one call, in schema order. Tensors are plain, on the CPU.
using OperatorArgs = std::vector<c10::IValue>;

struct OperatorCalls {
  const char* name;  // without "samebits::"
  OperatorArgs (*draw)(Draw&);
};

// Every operator of the list, by name.
const std::vector<OperatorCalls>& operator_calls();

// Calls "samebits::" + name: its results, lists flattened, then the arguments that it wrote.
std::vector<at::Tensor> call_operator(const std::string& name, const OperatorArgs& args);

// The same arguments with every tensor replaced.
template <typename Replace>
OperatorArgs with_tensors(const OperatorArgs& args, Replace replace) {
  OperatorArgs replaced;
  for (const c10::IValue& arg : args) {
    if (arg.isTensor()) {
      replaced.emplace_back(replace(arg.toTensor()));
    } else if (arg.isTensorList()) {
      c10::List<at::Tensor> list;
      for (const at::Tensor& tensor : arg.toTensorVector()) list.push_back(replace(tensor));
      replaced.emplace_back(std::move(list));
    } else {
      replaced.push_back(arg);
    }
  }
  return replaced;
}

}  // namespace samebits::testing
