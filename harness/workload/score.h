#pragma once

#include <memory>
#include <string>
#include <vector>

#include "harness/workload/engine.h"
#include "harness/workload/settings.h"
#include "harness/workload/workload.h"

namespace samebits {

// The workloads `prefill` and `decode`: the logprobs of the same completions, once with every
// sequence whole in one call over contiguous keys, once token by token over the paged cache. Each
// step samples its completions first (with the engine, in the arm's mode), then scores them.
class Score : public Workload {
 public:
  explicit Score(const ArmSettings& arm, World* world = nullptr);
  std::string step(int64_t step, Observer& observer) override;
  std::vector<const ProgramRecord*> programs() const override { return {&engine_->runner()}; }

 private:
  std::vector<std::vector<float>> prefill(const std::vector<Completion>& completions) const;
  std::vector<std::vector<float>> decode(const std::vector<Request>& requests,
                                         const std::vector<Completion>& completions,
                                         Observer& observer);

  ArmSettings arm_;
  std::vector<std::vector<int64_t>> prompts_;
  Replicas replicas_;
  std::unique_ptr<Decoder> model_;
  std::unique_ptr<Engine> engine_;
};

}  // namespace samebits
