#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "harness/capture/tracer.h"

namespace samebits {

// The proof that graphs were replayed, and nothing else ran: the last two, counted within graphs,
// stay 0.
struct ReplayWitness {
  int64_t replays = 0;  // of graphs: a step in pieces replays several
  int64_t launches = 0;
  int64_t eager_operators = 0;  // between pieces
  int64_t dispatcher_calls = 0;
  int64_t allocations = 0;

  ReplayWitness& operator+=(const ReplayWitness& other) {
    replays += other.replays;
    launches += other.launches;
    eager_operators += other.eager_operators;
    dispatcher_calls += other.dispatcher_calls;
    allocations += other.allocations;
    return *this;
  }
};

// The recorded launches of one program, which run again on the addresses that they were recorded
// with: those of its inputs, which stay the caller's, and those that capture took from the pool.
class ReplayGraph {
 public:
  virtual ~ReplayGraph() = default;

  // Whoever replays has written every input before.
  virtual void replay() = 0;

  virtual size_t outputs() const = 0;
  // What the last replay left, in the pool's memory and without a share in it: for the next graph
  // to take by address, or to be copied. Gone once anything else of the pool has written there.
  virtual at::Tensor output(size_t index) const = 0;

  virtual const ReplayWitness& witness() const = 0;
};

// Memory of a pool that values from outside are copied into.
struct StaticBuffer {
  std::string name;  // for messages
  at::Tensor memory;
};

struct BufferCopy {
  const StaticBuffer& to;
  at::Tensor value;
  std::optional<int64_t> padding;
};

// Throws c10::Error where ReplayPool::copy() cannot: `value` does not fit, or its padding is of
// another dtype than int32, int64 and float32.
void check_copy(const StaticBuffer& to, const at::Tensor& value, std::optional<int64_t> padding);

// Where graphs are captured, and the memory that they share: at addresses that stay. What a capture
// lets go serves later captures, so the graphs of a pool replay one at a time.
class ReplayPool {
 public:
  virtual ~ReplayPool() = default;

  virtual c10::Device device() const = 0;  // of its memory

  // At least one element. Who lets `memory` go may still copy to its address, as long as what reads
  // it there is replayed next.
  virtual StaticBuffer make_buffer(std::string name, at::IntArrayRef sizes,
                                   at::ScalarType dtype) = 0;

  // Copies each `value` to the beginning of its buffer, in every dimension; what is left holds
  // `padding`, or values that do harm where none is given. `padding` is for int32, int64 and
  // float32. Plain, same dtype and rank, no size larger, on the pool's device or the CPU. Several at once may take
  // no longer than one.
  virtual void copy(const std::vector<BufferCopy>& copies) = 0;
  void copy(const StaticBuffer& to, const at::Tensor& value, std::optional<int64_t> padding) {
    copy({{to, value, padding}});
  }

  // Plain values on the pool's device, copied to the CPU when what makes them has ended: waits
  // once.
  virtual std::vector<at::Tensor> read(const std::vector<at::Tensor>& values) = 0;

  // Captures `program` on inputs of the pool, plain or DTensors, whose values are not read. Memory
  // that the program's outputs have is theirs as long as somebody holds these very tensors.
  virtual std::unique_ptr<ReplayGraph> capture(std::string name, const Program& program,
                                               const std::vector<at::Tensor>& inputs) = 0;

  // Taken so far, and never given back.
  virtual size_t bytes_used() const = 0;
};

}  // namespace samebits
