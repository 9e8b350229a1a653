#include "harness/run/rank_pool.h"

#include <ATen/Parallel.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <torch/csrc/distributed/c10d/Store.hpp>

#include "harness/base/child_environment.h"
#include "harness/base/error.h"
#include "harness/base/json_difference.h"
#include "harness/base/text.h"
#include "harness/mesh/world.h"
#include "harness/run/rank.h"
#include "harness/run/rank_message.h"

namespace samebits {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// How long a process that has connected may take to say who it is.
constexpr milliseconds kHelloTime{5'000};

// This process's environment with what a rank is told of itself. Ranks of one machine share its
// cores.
std::vector<std::string> environment_of(const RankEnvironment& rank, int64_t on_this_machine) {
  const std::vector<std::pair<std::string, std::string>> own = {
      {"RANK", std::to_string(rank.rank)},
      {"WORLD_SIZE", std::to_string(rank.size)},
      {"LOCAL_RANK", std::to_string(rank.local_rank)},
      {"MASTER_ADDR", rank.host},
      {"MASTER_PORT", std::to_string(rank.port)},
      {"OMP_NUM_THREADS",
       std::to_string(std::max<int64_t>(1, at::get_num_threads() / on_this_machine))},
      // c10d warns of addresses that it tries; what fails is an error all the same.
      {"TORCH_CPP_LOG_LEVEL", "ERROR"}};
  return environment_with(own);
}

// In the child of a fork, where other threads' locks may be held: system calls alone. From its
// first moment on it ends with its judge, stopped or not.
[[noreturn]] void become_rank(pid_t judge, char* const* argv, char* const* envp) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  const int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
  dup2(nothing, STDIN_FILENO);
  dup2(nothing, STDOUT_FILENO);
  if (getppid() == judge) execve("/proc/self/exe", argv, envp);
  _exit(127);
}

// Without waiting.
bool has_ended(RankProcess& rank) {
  int status = 0;
  if (!rank.status && waitpid(rank.process, &status, WNOHANG) == rank.process) {
    rank.status = status;
  }
  return rank.status.has_value();
}

bool ends_within(RankProcess& rank, milliseconds limit) {
  const auto deadline = Clock::now() + limit;
  while (!has_ended(rank)) {
    if (Clock::now() > deadline) return false;
    std::this_thread::sleep_for(milliseconds(5));
  }
  return true;
}

void kill_now(RankProcess& rank) {
  if (rank.process == 0 || has_ended(rank)) return;
  kill(rank.process, SIGKILL);
  ends_within(rank, milliseconds(10'000));
}

void announce(c10d::Store& store, const std::string& host, int port) {
  const std::string address = fmt::format("{} {}", host, port);
  store.set(kJudgeKey, std::vector<uint8_t>(address.begin(), address.end()));
}

}  // namespace

std::unique_ptr<RankPool> RankPool::start(int64_t size,
                                          const std::function<void(const Absent&)>& on_wait) {
  std::unique_ptr<RankPool> pool(new RankPool);
  Rendezvous here{"127.0.0.1", 0};
  pool->store_ = serve_store(here, kMeetingTime);
  const Listener listener;
  announce(*pool->store_, here.host, listener.port());
  for (int64_t rank = 0; rank < size; ++rank) {
    pool->ranks_.emplace_back().rank = rank;
    pool->spawn({.rank = rank,
                 .size = size,
                 .local_rank = rank,
                 .host = here.host,
                 .port = here.port,
                 .is_store_served = true},
                /*on_this_machine=*/size);
  }
  pool->accept_ranks(listener, rank_hello({}, nullptr), on_wait);
  return pool;
}

std::unique_ptr<RankPool> RankPool::meet(const RankEnvironment& environment, const Case& whole) {
  std::unique_ptr<RankPool> pool(new RankPool);
  Rendezvous meeting{environment.host, environment.port};
  pool->store_ = environment.is_store_served ? join_store(meeting, kMeetingTime)
                                             : serve_store(meeting, kMeetingTime);
  const Listener listener;
  announce(*pool->store_, address_towards(environment.host), listener.port());
  for (int64_t rank = 0; rank < environment.size; ++rank) pool->ranks_.emplace_back().rank = rank;
  pool->spawn(environment, /*on_this_machine=*/1);
  pool->accept_ranks(listener, rank_hello(environment, &whole), [](const Absent&) {});
  return pool;
}

void RankPool::spawn(const RankEnvironment& environment, int64_t on_this_machine) {
  std::vector<std::string> variables = environment_of(environment, on_this_machine);
  std::vector<std::string> arguments = {"samebits", "rank"};
  const std::vector<char*> argv = pointers_to(arguments);
  const std::vector<char*> envp = pointers_to(variables);
  const pid_t judge = getpid();
  const pid_t process = fork();
  if (process == 0) become_rank(judge, argv.data(), envp.data());
  if (process < 0) {
    throw RunError(fmt::format("rank {} does not start: {}", environment.rank, strerror(errno)));
  }
  ranks_[static_cast<size_t>(environment.rank)].process = process;
}

RankPool::Absent RankPool::absent() const {
  Absent absent;
  for (const RankProcess& each : ranks_) {
    if (!each.channel) absent.push_back(each.rank);
  }
  return absent;
}

void RankPool::accept_ranks(const Listener& listener, const Json& expected,
                            const std::function<void(const Absent&)>& on_wait) {
  const auto deadline = Clock::now() + kMeetingTime;
  on_wait(absent());
  while (!absent().empty()) {
    pollfd waiting = {listener.descriptor(), POLLIN, 0};
    if (poll(&waiting, 1, /*ms=*/100) > 0) {
      LineChannel channel = listener.accept();
      // Whoever says nothing is no rank, or one that is missed below.
      const std::optional<std::string> first = channel.next_line(kHelloTime);
      if (!first || rank_message::kind_of(*first) != rank_message::kHello) continue;
      const Json hello = Json::parse(rank_message::text_of(*first));
      const auto rank = hello.at("rank").get<size_t>();
      if (rank >= ranks_.size() || ranks_[rank].channel) {
        throw InputError("ranks", fmt::format("one that says it is rank {}", rank),
                         fmt::format("one each from 0 to {}", ranks_.size() - 1));
      }
      for (const char* key : {"samebits", "libraries", "case"}) {
        if (hello.at(key).is_null()) continue;  // the judge's own was given no case
        if (const auto difference = first_difference(expected.at(key), hello.at(key))) {
          throw InputError(fmt::format("rank {}: {}{}", rank, key,
                                       difference->key.empty() ? "" : "." + difference->key),
                           difference->second, difference->first + ", as rank 0 has it");
        }
      }
      ranks_[rank].channel = std::move(channel);
      on_wait(absent());
      continue;
    }
    for (RankProcess& each : ranks_) {
      if (each.process == 0 || each.channel) continue;
      if (has_ended(each)) {
        throw RunError(fmt::format("rank {} {} before it was there", each.rank, end_of(each)));
      }
    }
    if (Clock::now() > deadline) {
      throw RunError(fmt::format("{} of {} did not come within {} s", ranks_text(absent()),
                                 ranks_.size(), kMeetingTime.count() / 1000));
    }
  }
  is_whole_ = true;
}

bool RankPool::has_channels() const {
  return std::any_of(ranks_.begin(), ranks_.end(),
                     [](const RankProcess& each) { return each.channel.has_value(); });
}

void RankPool::send_to_all(const std::string& line) {
  for (RankProcess& each : ranks_) {
    if (each.channel) each.channel->send(line);
  }
}

void RankPool::wait(std::chrono::milliseconds limit,
                    const std::function<void(RankProcess&, const std::string&)>& on_line,
                    const std::function<void(RankProcess&)>& on_end) {
  std::vector<pollfd> waiting;
  std::vector<RankProcess*> of;
  for (RankProcess& each : ranks_) {
    if (!each.channel) continue;
    waiting.push_back({each.channel->descriptor(), POLLIN, 0});
    of.push_back(&each);
  }
  if (waiting.empty()) return;
  if (poll(waiting.data(), waiting.size(), static_cast<int>(limit.count())) <= 0) return;
  for (size_t i = 0; i < waiting.size(); ++i) {
    if (waiting[i].revents == 0) continue;
    std::vector<std::string> lines;
    const bool is_open = of[i]->channel->receive(lines);
    for (const std::string& line : lines) on_line(*of[i], line);
    if (is_open) continue;
    of[i]->channel.reset();
    is_whole_ = false;
    on_end(*of[i]);
  }
}

std::string RankPool::end_of(RankProcess& rank) {
  if (rank.process == 0 || !ends_within(rank, milliseconds(2000))) {
    return "closed its connection";
  }
  const int status = *rank.status;
  if (WIFSIGNALED(status)) {
    return fmt::format("was killed by signal {} ({})", WTERMSIG(status),
                       strsignal(WTERMSIG(status)));
  }
  return fmt::format("exited with code {}", WEXITSTATUS(status));
}

void RankPool::kill() {
  is_whole_ = false;
  for (RankProcess& each : ranks_) {
    each.channel.reset();
    kill_now(each);
  }
}

RankPool::~RankPool() {
  if (!is_whole_) {
    kill();
    return;
  }
  try {
    send_to_all(rank_message::make(rank_message::kQuit));
  } catch (const RunError&) {
    kill();
    return;
  }
  for (RankProcess& each : ranks_) {
    if (each.process != 0 && !ends_within(each, milliseconds(10'000))) kill_now(each);
  }
}

}  // namespace samebits
