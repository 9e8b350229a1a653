#include "harness/graph/arena.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "harness/base/error.h"

namespace samebits {
namespace {

constexpr size_t kAlignment = 64;
constexpr size_t kRedzone = 64;
constexpr unsigned char kRedzoneByte = 0xa5;
// A block may be larger than what it is given to by this factor. Buckets captured from the largest
// down then share its blocks; without a limit, small tensors would take the large blocks of their
// own capture.
constexpr size_t kSlack = 8;

size_t aligned(size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

void fill_poison(char* data, size_t bytes) {
  const uint16_t poison = Arena::kPoison;
  for (size_t i = 0; i + 1 < bytes; i += 2) std::memcpy(data + i, &poison, 2);
  if (bytes % 2 == 1) std::memcpy(data + bytes - 1, &poison, 1);
}

}  // namespace

Arena::Arena(size_t bytes) : size_(aligned(bytes)) {
  void* region = mmap(nullptr, size_, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (region == MAP_FAILED) {
    throw RunError("graph pool: cannot reserve " + std::to_string(size_) + " bytes of addresses");
  }
  base_ = static_cast<char*>(region);
}

Arena::~Arena() { munmap(base_, size_); }

// The smallest free block that fits and is not too large.
size_t Arena::reusable(size_t bytes) const {
  size_t best = blocks_.size();
  for (size_t i = 0; i < blocks_.size(); ++i) {
    const Block& block = blocks_[i];
    if (block.is_used || block.bytes < bytes || block.bytes > kSlack * bytes) continue;
    if (best == blocks_.size() || block.bytes < blocks_[best].bytes) best = i;
  }
  return best;
}

void* Arena::allocate(size_t bytes, const std::string& who) {
  size_t index = reusable(bytes);
  if (index == blocks_.size()) {
    const size_t offset = top_ + kRedzone;
    const size_t end = aligned(offset + bytes) + kRedzone;
    if (end > size_) {
      throw RunError("graph pool: " + std::to_string(bytes) + " bytes for " + who +
                     " do not fit; the pool has " + std::to_string(size_));
    }
    blocks_.push_back({offset, bytes, {}, {}});
    std::memset(base_ + top_, kRedzoneByte, end - top_);
    top_ = end;
  }
  Block& block = blocks_[index];
  block.is_used = true;
  block.who = who;
  block.writer = "a later capture, for " + who;
  block.epoch = next_epoch();
  poison(index);
  if (std::find(allocated_.begin(), allocated_.end(), index) == allocated_.end()) {
    allocated_.push_back(index);
  }
  return base_ + block.offset;
}

void Arena::free(void* data) {
  Block& block = blocks_[block_of(data)];
  block.is_used = false;
  // Replays write too; only a capture's own blocks tell.
  const bool is_captured =
      std::find(allocated_.begin(), allocated_.end(), block_of(data)) != allocated_.end();
  if (is_captured && host_writes_.empty() && !is_poison(data, block.bytes)) {
    host_writes_ = block.who;
  }
}

bool Arena::contains(const void* data) const {
  const char* at = static_cast<const char*>(data);
  return at >= base_ && at < base_ + top_;
}

size_t Arena::block_of(const void* data) const {
  const size_t offset = static_cast<size_t>(static_cast<const char*>(data) - base_);
  const auto after =
      std::upper_bound(blocks_.begin(), blocks_.end(), offset,
                       [](size_t value, const Block& block) { return value < block.offset; });
  if (!contains(data) || after == blocks_.begin()) {
    throw std::logic_error("an address outside every block of the graph pool");
  }
  return static_cast<size_t>(after - blocks_.begin()) - 1;
}

std::vector<size_t> Arena::take_allocated() { return std::exchange(allocated_, {}); }

std::string Arena::take_host_writes(const std::vector<size_t>& open) {
  for (const size_t index : open) {
    if (!host_writes_.empty()) break;
    const Block& block = blocks_[index];
    if (block.is_used && !is_poison(data(index), block.bytes)) host_writes_ = block.who;
  }
  return std::exchange(host_writes_, {});
}

void Arena::poison(size_t index) {
  fill_poison(base_ + blocks_[index].offset, blocks_[index].bytes);
}

bool Arena::is_poison(const void* data, size_t bytes) const {
  const char* at = static_cast<const char*>(data);
  uint16_t poison = kPoison;
  if (bytes == 0) return true;
  if (bytes == 1) return std::memcmp(at, &poison, 1) == 0;
  // The first element, and then each byte equals the one two before it.
  return std::memcmp(at, &poison, 2) == 0 && std::memcmp(at, at + 2, bytes - 2) == 0;
}

std::string Arena::redzone_damage(size_t index) const {
  const Block& block = blocks_[index];
  const auto damaged = [&](size_t begin, size_t end) {
    return std::any_of(base_ + begin, base_ + end,
                       [](char byte) { return static_cast<unsigned char>(byte) != kRedzoneByte; });
  };
  const size_t end = block.offset + block.bytes;
  const bool before = damaged(block.offset - kRedzone, block.offset);
  if (!before && !damaged(end, aligned(end) + kRedzone)) return {};
  return std::string("the redzone ") + (before ? "before" : "after") + " the " +
         std::to_string(block.bytes) + " bytes that " + block.who + " allocated was overwritten";
}

void Arena::wrote(size_t index, const std::string& graph, int64_t epoch) {
  blocks_[index].writer = graph;
  blocks_[index].epoch = epoch;
}

}  // namespace samebits
