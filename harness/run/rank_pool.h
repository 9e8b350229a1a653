#pragma once

#include <c10/util/intrusive_ptr.h>
#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "harness/base/json.h"
#include "harness/case/case.h"
#include "harness/run/line_channel.h"
#include "harness/run/rank_environment.h"

namespace c10d {
class Store;
}

namespace samebits {

// The key of the store under which the judge's address stands: "HOST PORT".
inline constexpr char kJudgeKey[] = "samebits/judge";

// How long ranks and their judge wait for each other.
inline constexpr std::chrono::milliseconds kMeetingTime{60'000};

// Where a rank was when it told last.
struct RankPlace {
  std::string text;   // "arm gloo-tp2, step 3, train, last operator aten::mm"
  int64_t begun = 0;  // collectives
  int64_t ended = 0;
  std::string collective;  // the name of the last that began
  std::chrono::steady_clock::time_point told = std::chrono::steady_clock::now();
};

// One rank, as the process that judges the run knows it.
struct RankProcess {
  int64_t rank = 0;
  pid_t process = 0;  // of this machine, started by this one; 0: somebody else's
  std::optional<LineChannel> channel;
  RankPlace place;
  std::optional<int> status;  // of waitpid, of a process of this machine that has ended
};

// The processes of a run's ranks, each of them run_rank() of rank.h, and their judge: the process
// that has this. All are ended with it.
class RankPool {
 public:
  using Absent = std::vector<int64_t>;  // ranks that have not said who they are

  // Starts `size` processes of this program on this machine. `on_wait` is told whom it waits for,
  // whenever that changes. RunError for what breaks.
  static std::unique_ptr<RankPool> start(
      int64_t size, const std::function<void(const Absent&)>& on_wait = [](const Absent&) {});

  // Meets those that a launcher started (environment.rank is 0: this process judges, and starts a
  // process for its own rank). InputError where one of them has another case, program or library.
  static std::unique_ptr<RankPool> meet(const RankEnvironment& environment, const Case& whole);

  ~RankPool();
  RankPool(const RankPool&) = delete;
  RankPool& operator=(const RankPool&) = delete;

  int64_t size() const { return static_cast<int64_t>(ranks_.size()); }
  std::vector<RankProcess>& ranks() { return ranks_; }

  // Names of arms, of which no two are alike.
  std::string next_name() { return "arm-" + std::to_string(named_++); }

  // Whether any rank can still say something.
  bool has_channels() const;

  void send_to_all(const std::string& line);

  // Waits for lines of any rank, `limit` at most, and gives each to `on_line`; of a rank that is
  // gone, `on_end` is told once.
  void wait(std::chrono::milliseconds limit,
            const std::function<void(RankProcess&, const std::string&)>& on_line,
            const std::function<void(RankProcess&)>& on_end);

  // How a process of this machine ended, which may take it a moment: "was killed by signal 9",
  // "exited with code 3"; "closed its connection" where nobody can tell.
  std::string end_of(RankProcess& rank);

  // Ends all ranks: those of this machine at once, others as they see their channel closed.
  void kill();

 private:
  RankPool() = default;
  void spawn(const RankEnvironment& environment, int64_t on_this_machine);
  void accept_ranks(const Listener& listener, const Json& expected,
                    const std::function<void(const Absent&)>& on_wait);
  Absent absent() const;

  c10::intrusive_ptr<c10d::Store> store_;
  std::vector<RankProcess> ranks_;  // by rank
  int64_t named_ = 0;
  bool is_whole_ = false;  // all are there, and none has ended
};

}  // namespace samebits
