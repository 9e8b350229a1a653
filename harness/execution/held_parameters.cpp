#include "harness/execution/held_parameters.h"

#include "harness/base/error.h"

namespace samebits {

void HeldParameters::check() {
  for (size_t i = 0; i < model_.parameters().size(); ++i) {
    const Parameter& parameter = model_.parameters()[i];
    if (parameters_.size() == i) parameters_.emplace_back(parameter.tensor.getIntrusivePtr());
    if (parameters_[i]._unsafe_get_target() == parameter.tensor.unsafeGetTensorImpl()) continue;
    throw RunError("captured graphs hold " + parameter.name +
                   " by address, and it was replaced since: update weights in place");
  }
}

}  // namespace samebits
