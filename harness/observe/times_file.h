#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace samebits {

// Seconds that the arms of a run took when they ran again for the clock alone (run/time_arms.h): one
// entry for each arm in each round, in the order in which they ran. RUN/times.json holds them;
// clocks differ from run to run, so nothing vouches for it.
struct TimedRun {
  std::string arm;
  int64_t round = 0;
  // Of each step from the second on; the first is warm-up.
  std::vector<double> seconds;            // wall clock
  std::vector<double> processor_seconds;  // of all threads

  bool operator==(const TimedRun&) const = default;
};

void write_times(const std::filesystem::path& run_folder, const std::vector<TimedRun>& times);

// Empty where the run has none. InputError where the file is broken.
std::vector<TimedRun> read_times(const std::filesystem::path& run_folder);

}  // namespace samebits
