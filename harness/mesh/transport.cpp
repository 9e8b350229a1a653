#include "harness/mesh/transport.h"

#include <fmt/format.h>

#include "harness/base/error.h"
#include "harness/base/text.h"

namespace samebits {

template <typename Move>
void Transport::run(const char* name, const Move& move) {
  log_.name = name;
  const int64_t number = ++log_.begun;
  try {
    move();
  } catch (const std::exception& error) {  // gloo's errors have no type of their own that is told
    throw RunError(fmt::format("collective {} ({} of {} ranks): {}", number, name, size_,
                               first_line(error.what())));
  }
  log_.ended = number;
}

void Transport::all_gather(const void* given, void* got, int64_t bytes) {
  run("all_gather", [&] { move_to_all(given, got, bytes); });
}

void Transport::all_to_all(const void* given, void* got, int64_t bytes) {
  run("all_to_all", [&] { exchange(given, got, bytes); });
}

}  // namespace samebits
