#pragma once

#include <string>

#include "harness/workload/observer.h"

namespace samebits {

// Asks for what level op does, so that replays digest their marks. The digests of the last one are
// kept unread, as a run leaves them until its phase ends.
class MarksObserver final : public Observer {
 public:
  void begin_phase(const std::string&) override {}
  void observe(const std::string&, const at::Tensor&) override {}
  bool sees_operators() const override { return true; }
  void observe_replay(const ReplayDigests& digests) override { last_ = digests; }

 private:
  ReplayDigests last_;
};

}  // namespace samebits
