#include "harness/graph/write_log.h"

namespace samebits {

void WriteLog::wrote(const void* data, const std::string& who) {
  Write& write = last_[data];
  write.who = who;
  write.epoch = ++epoch_;
}

const WriteLog::Write& WriteLog::last(const void* data) const {
  static const Write nobody;
  const auto found = last_.find(data);
  return found == last_.end() ? nobody : found->second;
}

}  // namespace samebits
