#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "harness/run/arm.h"
#include "harness/run/rank_pool.h"

namespace samebits {

// An arm whose ranks are processes of their own. This process judges them: it keeps what they
// observe, waits until all have ended a step, and says which of them broke.
class RanksArm : public Arm {
 public:
  // `launched`: ranks that are there, borrowed; null: new ones on this machine. The rest as of
  // make_arm().
  RanksArm(const CaseArm& settings, Level level, ArmRecorder& recorder, Activity& activity,
           RankPool* launched);
  ~RanksArm() override;

  void prepare() override;
  int64_t steps() const override { return settings_.steps; }
  StepRecord step() override;
  std::vector<GuardRecord> guards() const override { return guards_; }
  std::vector<std::string> saved_graphs() const override { return graphs_; }
  void stop() override;

 private:
  struct RankState {
    std::deque<StepRecord> steps;  // that ended, and were not asked for
    bool is_ready = false;
    bool is_done = false;
    std::string failure;       // its line
    char failure_kind = '\0';  // rank_message
    bool is_gone = false;
  };

  template <typename IsThere>
  void wait_until(const IsThere& is_there);
  void take(RankProcess& rank, const std::string& line);
  void take_place(RankProcess& rank, const std::string& text);
  [[noreturn]] void fail();
  std::string where_all_are() const;

  CaseArm settings_;
  Level level_;
  ArmRecorder& recorder_;
  Activity& activity_;
  std::unique_ptr<RankPool> own_;
  RankPool* pool_;
  std::vector<RankState> states_;  // by rank
  int64_t next_step_ = 0;
  bool is_stopped_ = false;
  std::vector<GuardRecord> guards_;
  std::vector<std::string> graphs_;
};

}  // namespace samebits
