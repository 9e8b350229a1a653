#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <vector>

namespace samebits {

// `starts` of step_gradient.h as a launch holds it: where sequences begin among the tokens.
struct Starts {
  const int32_t* values;  // [groups, width]; null: one sequence of all tokens
  int64_t groups;
  int64_t width;  // sequences of a group, and one
  int64_t tokens;
};

// What `starts_of` points into: `starts` itself or a contiguous copy of it, or undefined without.
at::Tensor contiguous_starts(const std::optional<at::Tensor>& starts);

// Checks the shape and dtype of `starts`: contiguous, [S + 1] or [groups, S + 1], or undefined.
Starts starts_of(const char* op, const at::Tensor& starts, int64_t tokens);

// The values, checked, a group each: where its sequences begin, and the end. To be called within a
// launch, which reads them.
std::vector<std::vector<int64_t>> checked_groups(const char* op, const Starts& starts);

// The tree over groups (step_gradient.h), of sums of `count` that come in their order.
class GroupTree {
 public:
  void add(std::vector<float> sum);
  // Of a power of two of groups; NaNs have the contract's bits.
  void write(float* to) const;

 private:
  int64_t group_ = 0;
  std::vector<std::vector<float>> waiting_;
};

}  // namespace samebits
