#include "harness/graph/emulated_pool.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "harness/graph/arena_allocator.h"
#include "harness/graph/emulated_graph.h"

namespace samebits {
namespace {

// The box of `from`'s sizes at the beginning of `to`; both contiguous.
void copy_box(char* to, at::IntArrayRef to_sizes, const char* from, at::IntArrayRef from_sizes,
              size_t element) {
  if (to_sizes.empty() || to_sizes.slice(1) == from_sizes.slice(1)) {
    std::memcpy(to, from, c10::multiply_integers(from_sizes) * element);
    return;
  }
  const size_t to_bytes = c10::multiply_integers(to_sizes.slice(1)) * element;
  const size_t from_bytes = c10::multiply_integers(from_sizes.slice(1)) * element;
  for (int64_t i = 0; i < from_sizes[0]; ++i) {
    copy_box(to + i * to_bytes, to_sizes.slice(1), from + i * from_bytes, from_sizes.slice(1),
             element);
  }
}

void fill(const at::Tensor& to, int64_t value) {
  if (to.scalar_type() == at::kLong) {
    std::fill_n(to.mutable_data_ptr<int64_t>(), to.numel(), value);
  } else {
    std::fill_n(to.mutable_data_ptr<int32_t>(), to.numel(), static_cast<int32_t>(value));
  }
}

}  // namespace

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

void EmulatedPool::copy(const StaticBuffer& to, const at::Tensor& value,
                        std::optional<int64_t> padding) {
  check_copy(to, value, padding);
  const at::Tensor& memory = to.memory;
  const size_t block = arena_->block_of(memory.const_data_ptr());
  if (padding) {
    fill(memory, *padding);
  } else if (value.sizes() != memory.sizes()) {
    arena_->poison(block);
  }
  const at::Tensor from = value.contiguous();
  copy_box(static_cast<char*>(memory.mutable_data_ptr()), memory.sizes(),
           static_cast<const char*>(from.const_data_ptr()), from.sizes(), memory.element_size());
  arena_->wrote(block, to.name, arena_->next_epoch());
}

std::unique_ptr<ReplayGraph> EmulatedPool::capture(std::string name, const Program& program,
                                                   const std::vector<at::Tensor>& inputs) {
  return std::make_unique<EmulatedGraph>(std::move(name), arena_, program, inputs);
}

}  // namespace samebits
