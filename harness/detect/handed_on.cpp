#include "harness/detect/handed_on.h"

#include <c10/core/GradMode.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <iterator>
#include <optional>
#include <sstream>

#include "harness/detect/compare_outputs.h"
#include "harness/detect/eager_calls.h"
#include "harness/dtensor/dtensor.h"

namespace samebits {
namespace {

using Tensors = std::vector<at::Tensor>;

// What from_blob() makes without being told how to free it.
bool owns_nothing(const at::Tensor& part) {
  return part.numel() > 0 && part.has_storage() &&
         part.storage().data_ptr().get_context() == nullptr;
}

bool lies_in(const at::Tensor& part, const Tensors& others) {
  const auto* data = static_cast<const char*>(part.const_data_ptr());
  return std::any_of(others.begin(), others.end(), [&](const at::Tensor& other) {
    const Tensors parts = parts_of(other);
    return std::any_of(parts.begin(), parts.end(), [&](const at::Tensor& each) {
      if (!each.has_storage()) return false;
      const auto* begin = static_cast<const char*>(each.storage().data());
      return data >= begin && data < begin + each.storage().nbytes();
    });
  });
}

std::optional<std::string> change(const at::Tensor& in, const at::Tensor& out) {
  if (is_dangling(out, {in})) {
    return fmt::format("{} goes in, {} comes out, which owns no memory and lies in none of it",
                       kind_of(in), kind_of(out));
  }
  if (kind_of(in) != kind_of(out)) {
    return fmt::format("{} goes in, {} comes out", kind_of(in), kind_of(out));
  }
  if (in.numel() > 0 && !is_handed_on(in, out)) return "is in other memory";
  return std::nullopt;
}

std::optional<std::string> change_at(const Subject& subject, int64_t size) {
  std::optional<std::string> found;
  const auto error = error_of([&] {
    const Tensors inputs = subject.inputs(size);
    const Tensors outputs = subject.program(inputs);
    for (size_t i = 0; i < outputs.size() && !found; ++i) {
      if (const auto what = change(inputs[i], outputs[i])) {
        found = fmt::format("output {}: {}", i, *what);
      }
    }
  });
  return error ? error : found;
}

}  // namespace

std::string kind_of(const at::Tensor& tensor) {
  std::ostringstream text;
  if (is_dtensor(tensor)) {
    text << "a DTensor, " << spec_of(tensor).placements << " over " << spec_of(tensor).mesh->size();
  } else {
    text << "a plain tensor";
  }
  text << ", " << tensor.scalar_type();
  return text.str();
}

bool is_handed_on(const at::Tensor& from, const at::Tensor& to) {
  for (const at::Tensor& a : parts_of(from)) {
    for (const at::Tensor& b : parts_of(to)) {
      if (a.numel() > 0 && a.has_storage() && b.has_storage() &&
          a.const_data_ptr() == b.const_data_ptr() && a.sizes() == b.sizes() &&
          a.strides() == b.strides()) {
        return true;
      }
    }
  }
  return false;
}

bool is_dangling(const at::Tensor& tensor, const Tensors& others) {
  const Tensors parts = parts_of(tensor);
  return std::any_of(parts.begin(), parts.end(), [&](const at::Tensor& part) {
    return owns_nothing(part) && !lies_in(part, others);
  });
}

Outcome run_handed_on(const Subject& subject) {
  const c10::NoGradGuard no_grad;
  std::vector<int64_t> sizes{subject.hint};
  std::copy_if(subject.sizes.begin(), subject.sizes.end(), std::back_inserter(sizes),
               [&](int64_t size) { return size != subject.hint; });
  for (const int64_t size : sizes) {
    if (const auto found = change_at(subject, size)) {
      return {true, fmt::format("eager at {}: {}", size, *found)};
    }
  }
  return {false, fmt::format("eager at {}: what goes in comes out", fmt::join(sizes, ", "))};
}

}  // namespace samebits
