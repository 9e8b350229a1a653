#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <vector>

namespace samebits {

// Where sequences begin among `tokens`, and the end (step_gradient.h): `starts`, checked, or
// without it one sequence of them all.
std::vector<int64_t> checked_starts(const char* op, const std::optional<at::Tensor>& starts,
                                    int64_t tokens);

// The same of groups of sequences: one of [S + 1], or a row each.
std::vector<std::vector<int64_t>> checked_groups(const char* op,
                                                 const std::optional<at::Tensor>& starts,
                                                 int64_t tokens);

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
