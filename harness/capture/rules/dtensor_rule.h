#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/ivalue.h>

#include <string>
#include <vector>

namespace samebits {

// Whether a call has a DTensor among its arguments or makes one of its locals.
bool concerns_dtensors(const std::string& op, const std::vector<c10::IValue>& args);

// The results of such a call without data: abstract DTensors of the shape rule's sizes, placed as
// the operator's strategy says (dtensor/propagate.h). samebits::from_local, redistribute, to_local
// and full_tensor change the placement or leave it, so they have rules of their own here; plain
// results of theirs are fake tensors, one for each hosted rank.
std::vector<at::Tensor> dtensor_results(const c10::OperatorHandle& op, const std::string& name,
                                        const std::vector<c10::IValue>& args);

// Asks the strategy whether the call may write its arguments where they lie; throws as the operator
// itself would.
void check_dtensor_write(const c10::OperatorHandle& op, const std::vector<c10::IValue>& args);

}  // namespace samebits
