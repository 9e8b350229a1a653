#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "harness/dtensor/dtensor.h"
#include "harness/graph/arena.h"

namespace samebits {

// The tensors that hold a value's elements: itself, or a DTensor's locals.
std::vector<at::Tensor> plain_parts(const at::Tensor& value);

// A weak reference to what one replay left in an arena: a plain tensor or a DTensor. It keeps the
// arena alive, not the value, which is gone once anything else has written one of its blocks.
class GraphOutput {
 public:
  // Throws c10::Error where elements of `value` are not in the arena. `name` is for messages.
  GraphOutput(std::string name, std::shared_ptr<const Arena> arena, const at::Tensor& value);

  // Takes what is there now for the value.
  void renew();

  // A copy. Throws RunError, naming the writer, once a block was written again.
  at::Tensor read() const;
  // The memory itself, for the next graph to take. Checked now, not when it is used.
  at::Tensor view() const;

  // Throws RunError where a block has nothing but poison.
  void check_written() const;

 private:
  struct Part {
    std::optional<size_t> block;  // none: no elements
    int64_t epoch;                // of the block
    void* data;
    std::vector<int64_t> sizes;
    std::vector<int64_t> strides;
  };
  at::Tensor view(const Part& part) const;

  std::string name_;
  std::shared_ptr<const Arena> arena_;
  std::vector<Part> parts_;
  at::ScalarType dtype_;
  std::optional<DTensorSpec> spec_;  // none: a plain tensor
  std::vector<int64_t> sizes_;       // of the whole
};

}  // namespace samebits
