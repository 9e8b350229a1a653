#include "harness/run/rank.h"

#include <fmt/format.h>

#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <thread>
#include <torch/csrc/distributed/c10d/Store.hpp>

#include "harness/base/error.h"
#include "harness/base/json_difference.h"
#include "harness/case/case_write.h"
#include "harness/dispatch/device_error.h"
#include "harness/kernels/device.h"
#include "harness/mesh/world.h"
#include "harness/observe/guard_file.h"
#include "harness/run/in_process_arm.h"
#include "harness/run/line_channel.h"
#include "harness/run/origin.h"
#include "harness/run/rank_message.h"
#include "harness/run/rank_pool.h"

namespace samebits {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;

constexpr int kRunBroke = 3;
constexpr milliseconds kPlaceEvery{100};

std::chrono::milliseconds milliseconds_of(double seconds) {
  return milliseconds(static_cast<int64_t>(std::min(seconds, 1e9) * 1000));
}

// Sends every observation as it comes.
class ChannelSink : public ObservationSink {
 public:
  explicit ChannelSink(LineChannel& channel) : channel_(channel) {}
  void record(const Observation& observation) override {
    channel_.send(
        rank_message::make(rank_message::kObservation, line_from_observation(observation)));
  }
  void flush() override {}

 private:
  LineChannel& channel_;
};

// Tells the judge where this rank stands, as long as it lives. Where the judge is gone, so is the
// run: the process ends, since the thread that computes may wait for ranks that do not come.
class PlaceTeller {
 public:
  PlaceTeller(LineChannel& channel, const Activity& activity, const CollectiveLog& log)
      : channel_(channel), activity_(activity), log_(log), thread_([this] { tell(); }) {}
  ~PlaceTeller() {
    {
      const std::lock_guard lock(mutex_);
      is_ended_ = true;
    }
    ended_.notify_all();
    thread_.join();
  }
  PlaceTeller(const PlaceTeller&) = delete;
  PlaceTeller& operator=(const PlaceTeller&) = delete;

 private:
  void tell() {
    std::unique_lock lock(mutex_);
    do {
      const Json place = {{"place", activity_.text()},
                          {"begun", log_.begun.load()},
                          {"ended", log_.ended.load()},
                          {"collective", log_.name.load()}};
      try {
        channel_.send(rank_message::make(
            rank_message::kPlace,
            place.dump(-1, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace)));
      } catch (const RunError&) {
        std::_Exit(kRunBroke);
      }
    } while (!ended_.wait_for(lock, kPlaceEvery, [this] { return is_ended_; }));
  }

  LineChannel& channel_;
  const Activity& activity_;
  const CollectiveLog& log_;
  std::mutex mutex_;
  std::condition_variable ended_;
  bool is_ended_ = false;
  std::thread thread_;
};

Case case_of(const CaseArm& arm) {
  CaseArm absolute = arm;
  for (fs::path* path : paths_of(absolute)) {
    if (!path->empty()) *path = fs::absolute(*path);
  }
  absolute.canonical = json_from_arm(absolute).dump();
  Case c;
  c.name = "rank";
  c.model = absolute.model.string();
  c.arms = {absolute};
  return c;
}

void run_ordered_arm(const Json& order, const RankEnvironment& environment,
                     const c10::intrusive_ptr<c10d::Store>& store, LineChannel& channel) {
  const auto send = [&](char kind, const std::string& text = "") {
    channel.send(rank_message::make(kind, text));
  };
  const Case c = parse_case(order.at("case").dump(), "the judge's order");
  const CaseArm& arm = c.arms.front();
  const Level level = order.at("level") == "op" ? Level::kOp : Level::kStep;
  if (const auto difference = first_difference(order.at("origin"), origin_of(c, level))) {
    throw InputError(fmt::format("rank {}: {}", environment.rank, difference->key),
                     difference->second, difference->first + ", as rank 0 has it");
  }
  if (arm.device == DeviceKind::kCuda) use_device(environment.local_rank % device_count());
  // Later than the judge's own, which says whom the others wait for.
  const auto timeout = milliseconds_of(arm.timeout_s) + milliseconds(30'000);
  World world(store, order.at("name").get<std::string>(), address_towards(environment.host),
              environment.rank, arm.mesh, timeout);
  Activity activity;
  ChannelSink sink(channel);
  const Checkpoints checkpoints = {order.at("folder").get<std::string>(), arm.checkpoint_every,
                                   order.at("first_step").get<int64_t>()};
  InProcessArm running(arm, level, sink, activity, checkpoints, &world);
  const OperatorFollower operators;
  const PlaceTeller teller(channel, activity, world.collectives());
  try {
    running.prepare();
    send(rank_message::kReady);
    for (int64_t step = checkpoints.first_step; step < arm.steps; ++step) {
      send(rank_message::kStep, line_from_step_record(running.step()));
      running.keep_checkpoint();
    }
    send(rank_message::kGuards, json_from_guards(running.guards()).dump());
    for (const std::string& graph : running.saved_graphs()) {
      send(rank_message::kGraph, Json(graph).dump());
    }
    send(rank_message::kDone);
  } catch (const RunError& error) {
    const bool in_collective = world.collectives().begun != world.collectives().ended;
    send(in_collective ? rank_message::kLost : rank_message::kBroken, error.what());
  }
}

}  // namespace

Json rank_hello(const RankEnvironment& environment, const Case* whole) {
  Json hello = program_origin();
  hello["rank"] = environment.rank;
  hello["case"] = whole == nullptr ? Json() : Json::parse(canonical_json(*whole));
  return hello;
}

Json rank_order(const CaseArm& arm, Level level, const std::string& name,
                const Checkpoints& checkpoints) {
  const Case c = case_of(arm);
  return {{"case", Json::parse(canonical_json(c))},
          {"level", to_string(level)},
          {"name", name},
          {"folder", checkpoints.folder.string()},
          {"first_step", checkpoints.first_step},
          {"origin", origin_of(c, level)}};
}

int run_rank(const RankEnvironment& environment, const Case* whole) {
  const auto store = join_store({environment.host, environment.port}, kMeetingTime);
  const std::vector<uint8_t> told = store->get(kJudgeKey);
  const std::string address(told.begin(), told.end());
  const size_t space = address.find(' ');
  LineChannel channel =
      connect_to(address.substr(0, space), std::stoi(address.substr(space + 1)), kMeetingTime);
  channel.send(rank_message::make(rank_message::kHello, rank_hello(environment, whole).dump()));
  while (const std::optional<std::string> line = channel.next_line()) {
    if (rank_message::kind_of(*line) == rank_message::kQuit) return 0;
    const Json order = Json::parse(rank_message::text_of(*line));
    try {
      run_ordered_arm(order, environment, store, channel);
    } catch (const InputError& error) {
      channel.send(rank_message::make(rank_message::kRefused, error.what()));
    } catch (const c10::Error& error) {
      channel.send(rank_message::make(rank_message::kBroken, error_line(error)));
    } catch (const std::exception& error) {
      channel.send(rank_message::make(rank_message::kBroken, error.what()));
    }
  }
  return kRunBroke;  // the judge is gone
}

}  // namespace samebits
