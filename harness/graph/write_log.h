#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>

namespace samebits {

// Who wrote which memory of a pool last, by its first byte, and in which order. What a replay
// writes on the way to its outputs is not in it.
class WriteLog {
 public:
  struct Write {
    std::string who;  // "": nobody yet
    int64_t epoch = 0;
  };

  void wrote(const void* data, const std::string& who);
  const Write& last(const void* data) const;
  // Of the last write.
  int64_t epoch() const { return epoch_; }

 private:
  int64_t epoch_ = 0;
  std::unordered_map<const void*, Write> last_;
};

}  // namespace samebits
