#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "harness/model/decoder.h"

namespace samebits {

// The gradient of one optimizer step over a model's parameters, group by group
// (kernels/step_gradient.h): float32 sums, laid out as the weights. At most log2(groups) sets of
// them wait for their neighbour beside that of the group at hand.
class StepGradient {
 public:
  // `groups`: a power of two. Borrows the model.
  StepGradient(const Decoder& model, int64_t groups);

  int64_t groups() const { return groups_; }

  // What the backward of the group at hand adds to. Captured graphs hold it by address.
  const WeightSums& sums() const { return sums_; }

  // Adds what autograd gave back instead, in the order of the parameters; an undefined one is in
  // the sums already.
  void add(const std::vector<at::Tensor>& gradients);

  // The group at hand has all of its sequences. With `count`, the sums are the tree over so many
  // groups from the one at hand on, an aligned power of two. After the last one of the step,
  // whole() is the gradient, and the sums are the caller's to clear before the next.
  void end_groups(int64_t count = 1);
  const std::vector<at::Tensor>& whole() const { return sums_.parameters; }

  // Sets of sums that were made so far; log2(groups) + 1 at most.
  size_t sets() const { return 1 + waiting_.size(); }

 private:
  int64_t groups_;
  size_t embedding_ = 0;  // index of the parameter that tied_head belongs to
  WeightSums sums_;
  std::vector<std::vector<at::Tensor>> waiting_;  // made when they are first needed
  size_t depth_ = 0;                              // how many of them wait
  int64_t group_ = 0;
};

}  // namespace samebits
