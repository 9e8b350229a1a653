#pragma once

#include <ATen/ThreadLocalState.h>

namespace samebits {

// Says that what the calling thread does while it lives is a library's own, in the body of one
// launch, and no operator of the program: modes on the dispatcher do not see it, and what it
// allocates for itself is not counted against a replay. `plain`: the thread's state without modes.
class LibraryWorkGuard {
 public:
  explicit LibraryWorkGuard(const at::ThreadLocalState& plain) : state_(plain) { ++depth(); }
  ~LibraryWorkGuard() { --depth(); }
  LibraryWorkGuard(const LibraryWorkGuard&) = delete;
  LibraryWorkGuard& operator=(const LibraryWorkGuard&) = delete;

  static bool is_active() { return depth() > 0; }

 private:
  static int& depth() {
    thread_local int depth = 0;
    return depth;
  }
  at::ThreadLocalStateGuard state_;
};

}  // namespace samebits
