// What a run costs beside other work, in processor time: alone, beside two busy loops, and two runs
// at once, with OpenMP threads that sleep while they wait (samebits's default) and that spin
// (OpenMP's own). Run in the root of the checkout.

#include <benchmark/benchmark.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

namespace samebits {
namespace {

enum class Beside { kNothing, kTwoLoops, kAnotherRun };

pid_t start_busy_loop() {
  const pid_t child = fork();
  if (child != 0) return child;
  for (;;) benchmark::ClobberMemory();
}

// A small run, in a process of its own that says nothing.
pid_t start_run(const std::string& policy, const std::filesystem::path& out) {
  const pid_t child = fork();
  if (child != 0) return child;
  setenv("OMP_WAIT_POLICY", policy.c_str(), /*overwrite=*/1);
  unsetenv("OMP_NUM_THREADS");
  if (std::freopen("/dev/null", "w", stdout) == nullptr) _exit(127);
  const std::string folder = out.string();
  execl("/proc/self/exe", "samebits", "run", "cases/grpo-tiny.json", "--arm", "eager", "--arm",
        "captured-tp2", "--steps", "2", "--set", "workload.group=2", "--set",
        "workload.max_new_tokens=4", "--force", "--out", folder.c_str(), nullptr);
  _exit(127);
}

// Seconds of processor time that the process took; negative where it failed.
double wait_for(pid_t run) {
  int status = 0;
  rusage usage{};
  if (wait4(run, &status, 0, &usage) != run || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    return -1;
  }
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

void run_beside(benchmark::State& state, const std::string& policy, Beside beside) {
  const std::filesystem::path scratch = std::filesystem::temp_directory_path() / "samebits-busy";
  double processor = 0;
  for (auto _ : state) {
    std::vector<pid_t> loops;
    if (beside == Beside::kTwoLoops) loops = {start_busy_loop(), start_busy_loop()};
    std::vector<pid_t> runs = {start_run(policy, scratch / "a")};
    if (beside == Beside::kAnotherRun) runs.push_back(start_run(policy, scratch / "b"));
    for (const pid_t run : runs) {
      const double seconds = wait_for(run);
      if (seconds < 0) state.SkipWithError("a run failed; is this the root of the checkout?");
      processor += seconds;
    }
    for (const pid_t loop : loops) {
      kill(loop, SIGKILL);
      waitpid(loop, nullptr, 0);
    }
  }
  std::filesystem::remove_all(scratch);
  state.counters["processor_s"] = benchmark::Counter(processor, benchmark::Counter::kAvgIterations);
}

const bool kRegistered = [] {
  const std::vector<std::pair<std::string, Beside>> besides = {
      {"alone", Beside::kNothing},
      {"beside_two_loops", Beside::kTwoLoops},
      {"two_runs", Beside::kAnotherRun}};
  for (const std::string policy : {"passive", "active"}) {
    for (const auto& [name, beside] : besides) {
      benchmark::RegisterBenchmark(
          ("busy/" + policy + "/" + name).c_str(),
          [policy, beside = beside](benchmark::State& state) { run_beside(state, policy, beside); })
          ->Iterations(3)
          ->UseRealTime()
          ->Unit(benchmark::kSecond);
    }
  }
  return true;
}();

}  // namespace
}  // namespace samebits
