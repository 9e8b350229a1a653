#pragma once

#include <cstdint>
#include <string>

namespace samebits {

// What a launcher says of one of the processes that it started.
struct RankEnvironment {
  int64_t rank = 0;
  int64_t size = 1;
  int64_t local_rank = 0;  // among those of its machine
  std::string host;        // where the store is, or is to be
  int port = 0;
  bool is_store_served = false;  // by the launcher; otherwise rank 0 serves it
};

}  // namespace samebits
