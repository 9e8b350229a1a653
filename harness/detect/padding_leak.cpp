// padding_leak: hostile content in rows of padding and in slots that nobody maps.

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <c10/util/Exception.h>
#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <set>

#include "harness/detect/compare_outputs.h"
#include "harness/detect/findings.h"

namespace samebits {
namespace {

using Tensors = std::vector<at::Tensor>;

class PaddingCheck {
 public:
  explicit PaddingCheck(const Subject& subject) : subject_(subject), padding_(*subject.padding) {}

  void check(int64_t size, int64_t bucket) {
    const Tensors zeros = run(size, bucket, PaddingContent::kZeros);
    const Tensors hostile = run(size, bucket, PaddingContent::kHostile);
    if (const auto what = difference(hostile, zeros, "zero padding")) {
      say(size, bucket, "with hostile padding, " + *what);
    }
  }

  Findings take() { return std::move(found_); }

 private:
  // Its rows that are none of padding.
  Tensors run(int64_t size, int64_t bucket, PaddingContent content) {
    const at::Tensor unmapped = unmapped_slots(size);
    fill(unmapped, content);
    const Tensors before = rows_at(unmapped);
    const Tensors out = subject_.program(padding_.inputs(size, bucket, content));
    const Tensors after = rows_at(unmapped);
    for (size_t i = 0; i < before.size(); ++i) {
      find_write(before[i], after[i], unmapped, i, size, bucket);
    }
    return {out[0].narrow(subject_.rows_dim, 0, size)};
  }

  at::Tensor unmapped_slots(int64_t size) const {
    const at::Tensor slots = subject_.inputs(size)[padding_.slots].cpu();
    const std::set<int64_t> mapped(slots.const_data_ptr<int64_t>(),
                                   slots.const_data_ptr<int64_t>() + slots.numel());
    std::vector<int64_t> unmapped;
    for (int64_t slot = 0; slot < padding_.memory[0].size(0); ++slot) {
      if (mapped.count(slot) == 0) unmapped.push_back(slot);
    }
    return at::tensor(unmapped, at::kLong);
  }

  void fill(const at::Tensor& unmapped, PaddingContent content) const {
    for (const at::Tensor& memory : padding_.memory) {
      at::Tensor rows = memory.index_select(0, unmapped.to(memory.device()));
      if (content == PaddingContent::kHostile) {
        rows.fill_(std::numeric_limits<double>::quiet_NaN());
      } else {
        rows.copy_(at::arange(rows.numel(), at::kLong).remainder(251).view(rows.sizes()));
      }
      memory.index_copy_(0, unmapped.to(memory.device()), rows);
    }
  }

  Tensors rows_at(const at::Tensor& slots) const {
    Tensors rows;
    for (const at::Tensor& memory : padding_.memory) {
      rows.push_back(memory.index_select(0, slots.to(memory.device())).cpu());
    }
    return rows;
  }

  void find_write(const at::Tensor& before, const at::Tensor& after, const at::Tensor& slots,
                  size_t memory, int64_t size, int64_t bucket) {
    if (!difference({after}, {before})) return;
    for (int64_t row = 0; row < slots.numel(); ++row) {
      if (!difference({after[row]}, {before[row]})) continue;
      say(size, bucket,
          fmt::format("slot {} of memory {} was written, to which no row is mapped",
                      slots[row].item<int64_t>(), memory));
    }
  }

  void say(int64_t size, int64_t bucket, const std::string& what) {
    const std::string text = fmt::format("{} padded to {}: {}", size, bucket, what);
    if (std::find(found_.begin(), found_.end(), text) == found_.end()) found_.push_back(text);
  }

  const Subject& subject_;
  const Padding& padding_;
  Findings found_;
};

}  // namespace

Findings padding_that_leaks(const Subject& subject) {
  if (!subject.padding) return {};
  const c10::NoGradGuard no_grad;
  Tensors kept;
  for (const at::Tensor& memory : subject.padding->memory) kept.push_back(memory.clone());
  PaddingCheck check(subject);
  const int64_t most = *std::max_element(subject.sizes.begin(), subject.sizes.end());
  for (const int64_t size : subject.sizes) {
    if (size == most || !runs_eagerly(subject, size)) continue;
    try {
      check.check(size, most);
    } catch (const c10::Error&) {  // NOLINT(bugprone-empty-catch)
      // It is not served padded: not this detector's business.
    }
  }
  for (size_t i = 0; i < kept.size(); ++i) subject.padding->memory[i].copy_(kept[i]);
  return check.take();
}

}  // namespace samebits
