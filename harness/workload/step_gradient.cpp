#include "harness/workload/step_gradient.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <bit>

#include "harness/kernels/step_gradient.h"

namespace samebits {
namespace {

at::Tensor float_zeros_like(const at::Tensor& x) {
  return at::zeros_like(x, x.options().dtype(at::kFloat));
}

}  // namespace

StepGradient::StepGradient(const Decoder& model, int64_t groups) : groups_(groups) {
  TORCH_CHECK(groups >= 1 && std::has_single_bit(static_cast<uint64_t>(groups)), "found ", groups,
              " groups of a gradient, expected a power of two");
  const c10::NoGradGuard no_grad;
  for (const Parameter& parameter : model.parameters()) {
    sums_.parameters.push_back(float_zeros_like(parameter.tensor));
  }
  if (const auto tied = model.tied_parameter()) {
    embedding_ = *tied;
    sums_.tied_head = float_zeros_like(sums_.parameters[embedding_]);
  }
}

void StepGradient::add(const std::vector<at::Tensor>& gradients) {
  const c10::NoGradGuard no_grad;
  for (size_t i = 0; i < gradients.size(); ++i) {
    if (gradients[i].defined()) sums_.parameters.at(i).add_(gradients[i]);
  }
}

void StepGradient::end_groups(int64_t count) {
  const c10::NoGradGuard no_grad;
  TORCH_CHECK(std::has_single_bit(static_cast<uint64_t>(count)) && group_ % count == 0 &&
                  group_ + count <= groups_,
              count, " groups from group ", group_, " on are no subtree of ", groups_);
  std::vector<at::Tensor>& sums = sums_.parameters;
  if (count == 1 && sums_.tied_head.defined()) {
    sums[embedding_].add_(sums_.tied_head);
    sums_.tied_head.zero_();
  }
  for (int joins = joins_after_group(group_ / count); joins > 0; --joins) {
    --depth_;
    for (size_t i = 0; i < sums.size(); ++i) sums[i].add_(waiting_[depth_][i]);
  }
  group_ += count;
  if (group_ == groups_) {
    group_ = 0;
    depth_ = 0;
    return;
  }
  if (depth_ == waiting_.size()) {
    waiting_.emplace_back();
    for (const at::Tensor& sum : sums) waiting_.back().push_back(at::empty_like(sum));
  }
  for (size_t i = 0; i < sums.size(); ++i) {
    waiting_[depth_][i].copy_(sums[i]);
    sums[i].zero_();
  }
  ++depth_;
}

}  // namespace samebits
