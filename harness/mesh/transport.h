#pragma once

#include <c10/core/Device.h>

#include <atomic>
#include <cstdint>
#include <string>

namespace samebits {

// What this process has done of its collectives, for whoever must say where it stands. Written by
// the thread that computes, read by any.
struct CollectiveLog {
  std::atomic<int64_t> begun = 0;
  std::atomic<int64_t> ended = 0;
  std::atomic<const char*> name = "";  // of the last that began; lives as long as the process
};

// Moves bytes between the processes of a group, each of them one rank. It adds nothing and rounds
// nothing, so no bit depends on the library behind it. All ranks make the same calls in the same
// order. Pointers are to memory of device(); what they point to is the caller's until the call
// returns, on a card until the current stream has passed it.
//
// RunError where a peer is gone or does not come within the time limit, in one line that says which
// collective of this process it was.
class Transport {
 public:
  // `log` is borrowed.
  Transport(int64_t rank, int64_t size, CollectiveLog& log) : rank_(rank), size_(size), log_(log) {}
  virtual ~Transport() = default;
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;

  int64_t rank() const { return rank_; }
  int64_t size() const { return size_; }
  virtual c10::Device device() const = 0;

  // Each rank gives `bytes` bytes and gets size() * bytes: those of all, in rank order.
  void all_gather(const void* given, void* got, int64_t bytes);

  // Each rank gives and gets size() blocks of `bytes` bytes: the r-th one given goes to rank r, the
  // r-th one got comes from it.
  void all_to_all(const void* given, void* got, int64_t bytes);

 protected:
  virtual void move_to_all(const void* given, void* got, int64_t bytes) = 0;
  virtual void exchange(const void* given, void* got, int64_t bytes) = 0;

 private:
  template <typename Move>
  void run(const char* name, const Move& move);

  int64_t rank_;
  int64_t size_;
  CollectiveLog& log_;
};

}  // namespace samebits
