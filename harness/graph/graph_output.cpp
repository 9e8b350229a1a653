#include "harness/graph/graph_output.h"

#include <ATen/ops/from_blob.h>
#include <fmt/format.h>

#include <utility>

#include "harness/base/error.h"

namespace samebits {

std::vector<at::Tensor> plain_parts(const at::Tensor& value) {
  if (is_dtensor(value)) return locals_of(value);
  return {value};
}

GraphOutput::GraphOutput(std::string name, std::shared_ptr<const Arena> arena,
                         const at::Tensor& value)
    : name_(std::move(name)),
      arena_(std::move(arena)),
      dtype_(value.scalar_type()),
      sizes_(value.sizes().vec()) {
  if (is_dtensor(value)) spec_ = spec_of(value);
  for (const at::Tensor& tensor : plain_parts(value)) {
    Part part{{}, 0, nullptr, tensor.sizes().vec(), tensor.strides().vec()};
    if (tensor.numel() > 0) {
      TORCH_CHECK(tensor.has_storage() && arena_->contains(tensor.const_data_ptr()), name_,
                  ": expected a tensor in the graph's pool");
      part.data = const_cast<void*>(tensor.const_data_ptr());
      part.block = arena_->block_of(part.data);
    }
    parts_.push_back(std::move(part));
  }
  renew();
}

void GraphOutput::renew() {
  for (Part& part : parts_) {
    if (part.block) part.epoch = arena_->block(*part.block).epoch;
  }
}

at::Tensor GraphOutput::view(const Part& part) const {
  if (part.block) {
    const Arena::Block& block = arena_->block(*part.block);
    if (block.epoch != part.epoch) {
      throw RunError(
          fmt::format("{} is gone: its memory was written since by {}", name_, block.writer));
    }
  }
  return at::from_blob(part.data, part.sizes, part.strides, at::TensorOptions().dtype(dtype_));
}

at::Tensor GraphOutput::view() const {
  if (!spec_) return view(parts_[0]);
  std::vector<at::Tensor> locals;
  for (const Part& part : parts_) locals.push_back(view(part));
  return make_dtensor(*spec_, c10::fromIntArrayRefSlow(sizes_), dtype_, std::move(locals));
}

at::Tensor GraphOutput::read() const { return view().clone(at::MemoryFormat::Contiguous); }

void GraphOutput::check_written() const {
  for (const Part& part : parts_) {
    if (!part.block) continue;
    if (arena_->is_poison(arena_->data(*part.block), arena_->block(*part.block).bytes)) {
      throw RunError(fmt::format("{} was never written by a launch", name_));
    }
  }
}

}  // namespace samebits
