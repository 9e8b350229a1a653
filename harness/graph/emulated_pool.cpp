#include "harness/graph/emulated_pool.h"

#include <ATen/ops/empty.h>

#include <utility>

#include "harness/graph/arena_allocator.h"
#include "harness/graph/copy_box.h"
#include "harness/graph/emulated_graph.h"

namespace samebits {

EmulatedPool::EmulatedPool(std::shared_ptr<Arena> arena) : arena_(std::move(arena)) {}

StaticBuffer EmulatedPool::make_buffer(std::string name, at::IntArrayRef sizes,
                                       at::ScalarType dtype) {
  TORCH_CHECK(c10::multiply_integers(sizes) > 0, name, " has no elements");
  ArenaGuard memory(arena_);
  memory.set_who(name);
  StaticBuffer buffer{std::move(name), at::empty(sizes, at::TensorOptions().dtype(dtype))};
  arena_->wrote(arena_->block_of(buffer.memory.const_data_ptr()), buffer.name,
                arena_->next_epoch());
  return buffer;
}

void EmulatedPool::copy(const std::vector<BufferCopy>& copies) {
  for (const auto& [to, value, padding] : copies) {
    check_copy(to, value, padding);
    const at::Tensor& memory = to.memory;
    const size_t block = arena_->block_of(memory.const_data_ptr());
    if (padding) {
      fill_values(memory.mutable_data_ptr(), memory.scalar_type(), memory.numel(), *padding);
    } else if (value.sizes() != memory.sizes()) {
      arena_->poison(block);
    }
    copy_box(memory.mutable_data_ptr(), memory.sizes(), value);
    arena_->wrote(block, to.name, arena_->next_epoch());
  }
}

std::vector<at::Tensor> EmulatedPool::read(const std::vector<at::Tensor>& values) {
  std::vector<at::Tensor> copies;
  for (const at::Tensor& value : values) {
    copies.push_back(at::empty(value.sizes(), value.options()).copy_(value));
  }
  return copies;
}

std::unique_ptr<ReplayGraph> EmulatedPool::capture(std::string name, const Program& program,
                                                   const std::vector<at::Tensor>& inputs) {
  return std::make_unique<EmulatedGraph>(std::move(name), arena_, program, inputs);
}

}  // namespace samebits
