#include "harness/mesh/shared_memory_transport.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <stdexcept>
#include <torch/csrc/distributed/c10d/Store.hpp>

#include "harness/base/file.h"

namespace samebits {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr int64_t kSlotBytes = 256 * 1024;  // stays in a core's cache

// What one rank gives, round after round, in two slots by turns. Who writes the slot of round k + 2
// has seen everybody begin round k + 1, and whoever has begun that has read round k.
struct Seat {
  alignas(64) std::atomic<uint32_t> round;  // the last that may be read; wraps around
  std::atomic<uint32_t> waiting;            // how many may sleep until it moves
  alignas(64) std::byte slots[2][kSlotBytes];
};
static_assert(std::atomic<uint32_t>::is_always_lock_free);

bool has_come(uint32_t round, uint32_t wanted) { return static_cast<int32_t>(round - wanted) >= 0; }

// Sleeps while `word` is `value`, `limit` at most; may wake for nothing.
void sleep_while(std::atomic<uint32_t>& word, uint32_t value, milliseconds limit) {
  const timespec time = {limit.count() / 1000, limit.count() % 1000 * 1'000'000};
  syscall(SYS_futex, &word, FUTEX_WAIT, value, &time, nullptr, 0);
}

void wake_all(std::atomic<uint32_t>& word) {
  syscall(SYS_futex, &word, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

// The seats of all ranks, mapped by this process.
class Table {
 public:
  Table(int descriptor, int64_t size) : bytes_(size * sizeof(Seat)) {
    void* at = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    seats_ = at == MAP_FAILED ? nullptr : static_cast<Seat*>(at);
  }
  ~Table() {
    if (seats_ != nullptr) munmap(seats_, bytes_);
  }
  Table(const Table&) = delete;
  Table& operator=(const Table&) = delete;

  bool is_mapped() const { return seats_ != nullptr; }
  Seat& operator[](int64_t rank) { return seats_[rank]; }

 private:
  size_t bytes_;
  Seat* seats_;
};

class SharedMemoryTransport final : public Transport {
 public:
  SharedMemoryTransport(std::unique_ptr<Table> table, int64_t rank, int64_t size,
                        milliseconds timeout, CollectiveLog& log)
      : Transport(rank, size, log), table_(std::move(table)), timeout_(timeout) {}

  c10::Device device() const override { return c10::kCPU; }

 private:
  void move_to_all(const void* given, void* got, int64_t bytes) override {
    const auto* from = static_cast<const std::byte*>(given);
    auto* to = static_cast<std::byte*>(got);
    for (int64_t done = 0; done < bytes; done += kSlotBytes) {
      const int64_t part = std::min(bytes - done, kSlotBytes);
      std::memcpy(begin_round(), from + done, part);
      end_round();
      std::memcpy(to + rank() * bytes + done, from + done, part);
      for_each_other(
          [&](int64_t other) { std::memcpy(to + other * bytes + done, slot_of(other), part); });
    }
  }

  // A slot has a piece for each rank; its own is not read.
  void exchange(const void* given, void* got, int64_t bytes) override {
    const auto* from = static_cast<const std::byte*>(given);
    auto* to = static_cast<std::byte*>(got);
    const int64_t piece = kSlotBytes / size();
    for (int64_t done = 0; done < bytes; done += piece) {
      const int64_t part = std::min(bytes - done, piece);
      std::byte* slot = begin_round();
      for (int64_t other = 0; other < size(); ++other) {
        if (other == rank()) continue;
        std::memcpy(slot + other * piece, from + other * bytes + done, part);
      }
      end_round();
      std::memcpy(to + rank() * bytes + done, from + rank() * bytes + done, part);
      for_each_other([&](int64_t other) {
        std::memcpy(to + other * bytes + done, slot_of(other) + rank() * piece, part);
      });
    }
  }

  std::byte* begin_round() {
    ++round_;
    return (*table_)[rank()].slots[round_ % 2];
  }

  void end_round() {
    Seat& mine = (*table_)[rank()];
    mine.round = round_;
    if (mine.waiting != 0) wake_all(mine.round);
  }

  template <typename Use>
  void for_each_other(const Use& use) {
    for (int64_t i = 1; i < size(); ++i) {
      const int64_t other = (rank() + i) % size();
      wait_for(other);
      use(other);
    }
  }

  // Without turning in a circle first: ranks of one machine share its cores.
  void wait_for(int64_t other) {
    Seat& seat = (*table_)[other];
    const auto deadline = Clock::now() + timeout_;
    while (!has_come(seat.round, round_)) {
      const auto left = std::chrono::duration_cast<milliseconds>(deadline - Clock::now());
      if (left.count() <= 0) {
        throw std::runtime_error(fmt::format("rank {} of the group did not come within {} s", other,
                                             timeout_.count() / 1000));
      }
      ++seat.waiting;  // before the round is read again: the other one moves it, then looks here
      const uint32_t seen = seat.round;
      if (!has_come(seen, round_)) sleep_while(seat.round, seen, left);
      --seat.waiting;
    }
  }

  const std::byte* slot_of(int64_t other) { return (*table_)[other].slots[round_ % 2]; }

  std::unique_ptr<Table> table_;
  milliseconds timeout_;
  uint32_t round_ = 0;
};

// ---- Who can share memory -----------------------------------------------------------------------
void say(c10d::Store& store, const std::string& what, int64_t rank, const std::string& text) {
  store.set(fmt::format("{}/{}", what, rank), std::vector<uint8_t>(text.begin(), text.end()));
}

std::string said(c10d::Store& store, const std::string& what, int64_t rank) {
  const std::vector<uint8_t> text = store.get(fmt::format("{}/{}", what, rank));
  return {text.begin(), text.end()};
}

// Whether all ranks say what this one says.
bool all_say(c10d::Store& store, const std::string& what, int64_t rank, int64_t size,
             const std::string& text) {
  say(store, what, rank, text);
  bool is_one = true;
  for (int64_t each = 0; each < size; ++each) is_one &= said(store, what, each) == text;
  return is_one;
}

// The same for processes that can map each other's memory; a text of this rank's own where it wants
// no other to, or cannot tell.
std::string machine_of(int64_t rank) {
  if (std::getenv("GLOO_SOCKET_IFNAME") != nullptr) return fmt::format("rank {} wants gloo", rank);
  try {
    std::string text = read_text_file("/proc/sys/kernel/random/boot_id");
    for (const char* space : {"net", "pid", "user"}) {
      text += std::filesystem::read_symlink(fmt::format("/proc/self/ns/{}", space)).string();
    }
    return text;
  } catch (const std::exception&) {  // no /proc
    return fmt::format("rank {} is somewhere", rank);
  }
}

// The first rank makes the memory, which has no name and is gone with the last process that has it.
FileDescriptor open_memory(c10d::Store& store, int64_t rank, int64_t size) {
  if (rank != 0) return FileDescriptor(open(said(store, "memory", 0).c_str(), O_RDWR | O_CLOEXEC));
  FileDescriptor made(memfd_create("samebits", MFD_CLOEXEC));
  const bool is_sized = made.get() >= 0 && ftruncate(made.get(), size * sizeof(Seat)) == 0;
  say(store, "memory", 0, is_sized ? fmt::format("/proc/{}/fd/{}", getpid(), made.get()) : "");
  return made;
}

}  // namespace

std::unique_ptr<Transport> make_shared_memory_transport(
    const c10::intrusive_ptr<c10d::Store>& store, int64_t rank, int64_t size,
    std::chrono::milliseconds timeout, CollectiveLog& log) {
  if (!all_say(*store, "machine", rank, size, machine_of(rank))) return nullptr;
  const FileDescriptor memory = open_memory(*store, rank, size);
  auto table = std::make_unique<Table>(memory.get(), size);
  // The first rank's descriptor stays until all have opened it.
  const std::string mapped = table->is_mapped() ? "mapped" : fmt::format("rank {} has none", rank);
  if (!all_say(*store, "memory of", rank, size, mapped) || !table->is_mapped()) return nullptr;
  return std::make_unique<SharedMemoryTransport>(std::move(table), rank, size, timeout, log);
}

}  // namespace samebits
