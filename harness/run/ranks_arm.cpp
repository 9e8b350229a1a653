#include "harness/run/ranks_arm.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <tuple>

#include "harness/base/error.h"
#include "harness/base/text.h"
#include "harness/execution/witness.h"
#include "harness/observe/guard_file.h"
#include "harness/run/rank.h"
#include "harness/run/rank_message.h"

namespace samebits {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kPoll{50};
// A rank tells ten times a second where it is: one that has not for so long is stopped, or out of
// reach.
constexpr milliseconds kSilence{3000};
// What a dead rank does to the others is told within it, so that the first one can be found.
constexpr milliseconds kAftermath{1000};

// Whom rank `missing` keeps waiting, and where: "ranks 0 and 2 wait for it in collective 812
// (all_gather)"; "" for nobody.
std::string waiting_text(const std::vector<RankProcess>& ranks, int64_t missing) {
  const int64_t reached = ranks[static_cast<size_t>(missing)].place.begun;
  std::vector<int64_t> waiting;
  const RankPlace* at = nullptr;
  for (const RankProcess& each : ranks) {
    const bool waits = each.place.begun > each.place.ended && each.place.begun > reached;
    if (each.rank == missing || !waits) continue;
    waiting.push_back(each.rank);
    at = &each.place;
  }
  if (waiting.empty()) return "";
  return fmt::format("; {} wait{} for it in collective {} ({})", ranks_text(waiting),
                     waiting.size() == 1 ? "s" : "", at->begun, at->collective);
}

}  // namespace

RanksArm::RanksArm(const CaseArm& settings, Level level, ArmRecorder& recorder, Activity& activity,
                   RankPool* launched)
    : settings_(settings),
      level_(level),
      recorder_(recorder),
      activity_(activity),
      pool_(launched),
      next_step_(recorder.first_step()) {}

// Ranks of an arm that broke off are in the middle of it.
RanksArm::~RanksArm() {
  if (pool_ != nullptr && !is_stopped_) pool_->kill();
}

template <typename IsThere>
void RanksArm::wait_until(const IsThere& is_there) {
  const auto has_failed = [this] {
    return std::any_of(states_.begin(), states_.end(),
                       [](const RankState& each) { return each.is_gone || !each.failure.empty(); });
  };
  const auto wait_once = [this](milliseconds limit) {
    pool_->wait(
        limit, [this](RankProcess& rank, const std::string& line) { take(rank, line); },
        [this](RankProcess& rank) { states_[static_cast<size_t>(rank.rank)].is_gone = true; });
  };
  while (!std::all_of(states_.begin(), states_.end(), is_there)) {
    if (has_failed()) {
      const Stopwatch clock;
      const double limit = std::chrono::duration<double>(kAftermath).count();
      while (clock.seconds() < limit && pool_->has_channels()) wait_once(kPoll);
      fail();
    }
    wait_once(kPoll);
  }
}

void RanksArm::prepare() {
  activity_.enter(fmt::format("arm {}, starting {} ranks", settings_.name, settings_.mesh.ranks()));
  if (pool_ == nullptr) {
    own_ = RankPool::start(settings_.mesh.ranks(), [this](const RankPool::Absent& absent) {
      if (absent.empty()) return;
      activity_.enter(fmt::format("arm {}, waiting for {} of {}", settings_.name,
                                  ranks_text(absent), settings_.mesh.ranks()));
    });
    pool_ = own_.get();
  }
  states_.assign(static_cast<size_t>(pool_->size()), {});
  for (RankProcess& each : pool_->ranks()) {
    recorder_.sink(each.rank);
    each.place = {};
  }
  const Json order =
      rank_order(settings_, level_, pool_->next_name(), checkpoints_of(settings_, recorder_));
  pool_->send_to_all(rank_message::make(rank_message::kArm, order.dump()));
  wait_until([](const RankState& each) { return each.is_ready; });
}

StepRecord RanksArm::step() {
  wait_until([](const RankState& each) { return !each.steps.empty(); });
  std::vector<StepRecord> records;
  for (RankState& each : states_) {
    records.push_back(std::move(each.steps.front()));
    each.steps.pop_front();
  }
  for (size_t rank = 1; rank < records.size(); ++rank) {
    recorder_.record_step_of(static_cast<int64_t>(rank), records[rank]);
  }
  // What is asked of an arm after its last step comes after it.
  const bool is_last = ++next_step_ == settings_.steps;
  if (is_last) wait_until([](const RankState& each) { return each.is_done; });
  return records[0];
}

void RanksArm::stop() {
  is_stopped_ = true;
  own_.reset();
}

void RanksArm::take(RankProcess& rank, const std::string& line) {
  RankState& state = states_[static_cast<size_t>(rank.rank)];
  const std::string text(rank_message::text_of(line));
  const std::string where = fmt::format("what rank {} sent", rank.rank);
  switch (rank_message::kind_of(line)) {
    case rank_message::kPlace:
      take_place(rank, text);
      return;
    case rank_message::kObservation:
      recorder_.sink(rank.rank).record(observation_from_line(text, where));
      return;
    case rank_message::kStep:
      recorder_.sink(rank.rank).flush();
      state.steps.push_back(step_record_from_line(text, where));
      return;
    case rank_message::kGuards:
      if (rank.rank == 0) guards_ = guards_from_json(parse_json(text, where), where);
      return;
    case rank_message::kGraph:
      if (rank.rank == 0) graphs_.push_back(Json::parse(text).get<std::string>());
      return;
    case rank_message::kReady:
      state.is_ready = true;
      return;
    case rank_message::kDone:
      state.is_done = true;
      return;
    case rank_message::kRefused:
    case rank_message::kBroken:
    case rank_message::kLost:
      state.failure = text;
      state.failure_kind = rank_message::kind_of(line);
      return;
    default:
      throw RunError(where + ": a message of no known kind");
  }
}

void RanksArm::take_place(RankProcess& rank, const std::string& text) {
  const Json place = Json::parse(text);
  rank.place = {place.at("place"), place.at("begun"), place.at("ended"), place.at("collective")};
  activity_.enter(where_all_are());
}

// The rank that the others wait for: one that is silent; or one that waits for nobody, with the
// fewest collectives begun. Numbers alone say nothing between replicas, whose sequences differ.
std::string RanksArm::where_all_are() const {
  const std::vector<RankProcess>& ranks = pool_->ranks();
  const auto now = std::chrono::steady_clock::now();
  const auto order = [now](const RankProcess& each) {
    const bool speaks = now - each.place.told < kSilence;
    const bool waits = each.place.begun > each.place.ended;
    return std::tuple(speaks, waits, each.place.begun, each.place.told);
  };
  const auto last = std::min_element(ranks.begin(), ranks.end(), [&](const auto& a, const auto& b) {
    return order(a) < order(b);
  });
  return fmt::format("rank {}: {}{}", last->rank, last->place.text,
                     waiting_text(ranks, last->rank));
}

// The first of: a rank that is gone, one that broke by itself, one that was refused, one that lost
// another.
void RanksArm::fail() {
  recorder_.flush();
  const std::vector<RankProcess>& ranks = pool_->ranks();
  const auto find = [this](const auto& is_it) {
    return static_cast<size_t>(std::find_if(states_.begin(), states_.end(), is_it) -
                               states_.begin());
  };
  const auto kept = [&](size_t rank, const std::string& what) {
    const std::string waiting = waiting_text(ranks, static_cast<int64_t>(rank));
    std::string place = ranks[rank].place.text;
    if (place.empty()) place = "arm " + settings_.name;
    pool_->kill();
    throw RunError(
        fmt::format("{}: rank {} {}{}; the streams are kept", place, rank, what, waiting));
  };
  const size_t none = states_.size();
  // A process that ends on its own account says why before.
  const size_t gone =
      find([](const RankState& each) { return each.is_gone && each.failure.empty(); });
  const size_t refused =
      find([](const RankState& each) { return each.failure_kind == rank_message::kRefused; });
  const size_t broken =
      find([](const RankState& each) { return each.failure_kind == rank_message::kBroken; });
  if (gone != none) kept(gone, pool_->end_of(pool_->ranks()[gone]));
  if (refused != none) {
    const std::string line = states_[refused].failure;
    pool_->kill();
    throw InputError(line);
  }
  if (broken != none) {
    const std::string line = states_[broken].failure;
    pool_->kill();
    throw RunError(fmt::format("rank {}: {}", broken, line));
  }
  const size_t lost = find([](const RankState& each) { return !each.failure.empty(); });
  const std::string line = states_[lost].failure;
  pool_->kill();
  throw RunError(fmt::format("rank {}: {}", lost, line));
}

}  // namespace samebits
