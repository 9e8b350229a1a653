#include "harness/detect/sharded.h"

#include <ATen/ATen.h>
#include <ATen/core/Formatting.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <iterator>
#include <sstream>
#include <utility>

#include "harness/detect/compare_outputs.h"
#include "harness/dtensor/dtensor.h"

namespace samebits {
namespace {

using Tensors = std::vector<at::Tensor>;

bool is_pending_sum(const at::Tensor& tensor) {
  return is_dtensor(tensor) && spec_of(tensor).placements.has_partial() &&
         tensor.is_floating_point();
}

// What must be the whole, each by itself.
Tensors values_of(const at::Tensor& got) {
  const bool on_every_rank = is_dtensor(got) && spec_of(got).placements.is_replicate();
  return on_every_rank ? locals_of(got) : Tensors{whole_of(got)};
}

// A row of bytes an element.
at::Tensor bytes_of(const at::Tensor& tensor) {
  return tensor.contiguous().view({-1}).view(at::kByte).view({tensor.numel(), -1});
}

// Which elements differ, a bool each.
at::Tensor differing(const at::Tensor& value, const at::Tensor& whole) {
  const at::Tensor differs = bytes_of(value).ne(bytes_of(whole)).any(1).view(whole.sizes());
  return differs.logical_and(value.isnan().logical_and(whole.isnan()).logical_not());
}

// Which are off by more than the order of a sum explains.
at::Tensor beyond_rounding(const at::Tensor& got, const at::Tensor& whole) {
  constexpr double kShare = 1.0 / 64;
  at::Tensor magnitude = at::zeros(whole.sizes(), whole.options().dtype(at::kDouble));
  for (const at::Tensor& summand : locals_of(got)) {
    magnitude += summand.to(at::kDouble).abs();
  }
  const at::Tensor value = whole_of(got);
  const at::Tensor off = (value.to(at::kDouble) - whole.to(at::kDouble)).abs();
  const at::Tensor too_far = off.gt(magnitude * kShare);
  return too_far.logical_or(value.isnan().ne(whole.isnan()));
}

std::string element_text(const at::Tensor& tensor, int64_t index) {
  const at::Tensor element = tensor.contiguous().view({-1})[index];
  if (element.isnan().item<bool>()) return "nan";  // of either sign
  std::ostringstream text;
  text << element.item();
  return text.str();
}

std::vector<int64_t> coordinates(int64_t index, at::IntArrayRef sizes) {
  std::vector<int64_t> at(sizes.size());
  for (size_t d = sizes.size(); d-- > 0;) {
    at[d] = index % sizes[d];
    index /= sizes[d];
  }
  return at;
}

std::optional<std::string> elements_text(const at::Tensor& differs, const at::Tensor& value,
                                         const at::Tensor& whole) {
  const at::Tensor found = differs.contiguous().view({-1}).nonzero();
  if (found.numel() == 0) return std::nullopt;
  const auto first = found[0].item<int64_t>();
  return fmt::format("element [{}] is {}, expected {}; {} of {} differ",
                     fmt::join(coordinates(first, whole.sizes()), ", "), element_text(value, first),
                     element_text(whole, first), found.numel(), whole.numel());
}

Tensors wholes_of(const Tensors& tensors) {
  Tensors wholes;
  for (const at::Tensor& tensor : tensors) wholes.push_back(whole_of(tensor));
  return wholes;
}

std::optional<std::string> difference_at(const Subject& subject, int64_t size) {
  const Tensors inputs = subject.inputs(size);
  std::optional<std::string> found;
  const std::optional<std::string> error = error_of([&] {
    const Tensors got = subject.program(inputs);
    const Tensors whole = subject.program(wholes_of(inputs));
    for (size_t i = 0; i < whole.size() && !found; ++i) {
      if (const auto differs = difference_from_whole(got[i], whole[i])) {
        found = fmt::format("output {}: {}", i, *differs);
      }
    }
  });
  return error ? error : found;
}

}  // namespace

at::Tensor whole_of(const at::Tensor& tensor) {
  return is_dtensor(tensor) ? full_tensor(tensor) : tensor;
}

c10::IValue whole_of(const c10::IValue& argument) {
  if (argument.isTensor()) return whole_of(argument.toTensor());
  if (argument.isTensorList()) return wholes_of(argument.toTensorVector());
  if (argument.isOptionalTensorList()) {
    auto tensors = argument.toOptionalTensorVector();
    for (auto& tensor : tensors) {
      if (tensor) tensor = whole_of(*tensor);
    }
    return tensors;
  }
  return argument;
}

std::optional<std::string> difference_from_whole(const at::Tensor& got, const at::Tensor& whole) {
  if (got.scalar_type() != whole.scalar_type()) {
    return fmt::format("dtype {}, expected {}", c10::toString(got.scalar_type()),
                       c10::toString(whole.scalar_type()));
  }
  if (got.sizes() != whole.sizes()) {
    return fmt::format("sizes [{}], expected [{}]", fmt::join(got.sizes(), ", "),
                       fmt::join(whole.sizes(), ", "));
  }
  if (whole.numel() == 0) return std::nullopt;
  if (is_pending_sum(got)) {
    return elements_text(beyond_rounding(got, whole), whole_of(got), whole);
  }
  for (const at::Tensor& value : values_of(got)) {
    // Of a DTensor whose locals are not what its placement says.
    if (value.sizes() != whole.sizes()) {
      return fmt::format("gathered sizes [{}], expected [{}]", fmt::join(value.sizes(), ", "),
                         fmt::join(whole.sizes(), ", "));
    }
    if (auto text = elements_text(differing(value, whole), value, whole)) return text;
  }
  return std::nullopt;
}

Outcome run_sharded(const Subject& subject) {
  const c10::NoGradGuard no_grad;
  std::vector<int64_t> sizes{subject.hint};
  std::copy_if(subject.sizes.begin(), subject.sizes.end(), std::back_inserter(sizes),
               [&](int64_t size) { return size != subject.hint; });
  for (const int64_t size : sizes) {
    if (const auto found = difference_at(subject, size)) {
      return {true, fmt::format("sharded at {}: {}", size, *found)};
    }
  }
  return {false, fmt::format("sharded at {}: the bits of whole tensors", fmt::join(sizes, ", "))};
}

}  // namespace samebits
