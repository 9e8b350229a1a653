#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace samebits {

// The memory that one or more graphs run in: addresses that never change, each block between two
// redzones. It stands for the private pool of CUDA's caching allocator: what is freed while a graph
// is captured goes to the next allocation that it fits, of the same capture or of a later one, so
// blocks of several graphs overlap. Not thread-safe.
//
// Every byte that no launch has written holds a poison that is a NaN in each floating type and far
// out of range as an index: kPoison, repeated.
class Arena {
 public:
  static constexpr uint16_t kPoison = 0x7ff9;

  struct Block {
    size_t offset;
    size_t bytes;        // of the allocation that made it; no later one is larger
    std::string who;     // the operator that allocated it last
    std::string writer;  // the graph that wrote it last
    int64_t epoch = 0;   // of that write
    bool is_used = false;
  };

  // Reserves addresses; memory is taken as it is touched. Throws RunError if the system refuses.
  explicit Arena(size_t bytes = size_t{1} << 32);
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  // A poisoned block of at least `bytes` (more than none), 64-byte aligned. Throws RunError when
  // the arena is full.
  void* allocate(size_t bytes, const std::string& who);
  // A block that is not poison any more was written by the host, which found_writes() then reports.
  void free(void* data);

  bool contains(const void* data) const;
  // The block that holds `data`, an index into the arena's blocks. Throws std::logic_error.
  size_t block_of(const void* data) const;
  const Block& block(size_t index) const { return blocks_[index]; }
  const void* data(size_t index) const { return base_ + blocks_[index].offset; }

  // Blocks allocated since the last call, each once: those that a graph works in.
  std::vector<size_t> take_allocated();
  // Who owned blocks that were written, though nothing was launched, since the last call: of those
  // freed, and of `open`, which are still in use. Empty: none.
  std::string take_host_writes(const std::vector<size_t>& open);

  void poison(size_t index);
  bool is_poison(const void* data, size_t bytes) const;
  // What is wrong with the block's redzones, or "".
  std::string redzone_damage(size_t index) const;
  void wrote(size_t index, const std::string& graph, int64_t epoch);
  int64_t next_epoch() { return ++epoch_; }

  size_t bytes_used() const { return top_; }  // redzones included, freed blocks too

 private:
  size_t reusable(size_t bytes) const;

  char* base_;
  size_t size_;
  size_t top_ = 0;
  int64_t epoch_ = 0;
  std::vector<Block> blocks_;  // by offset
  std::vector<size_t> allocated_;
  std::string host_writes_;
};

}  // namespace samebits
