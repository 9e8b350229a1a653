#include <algorithm>

#include "harness/report/record_parts.h"

namespace samebits {
namespace {

// An arm's rounds in order: what the median step took in each.
struct Rounds {
  std::vector<double> wall;
  std::vector<double> processor;
};

Rounds rounds_of(const std::string& arm, const std::vector<TimedRun>& times) {
  Rounds rounds;
  for (const TimedRun& each : times) {
    if (each.arm != arm) continue;
    rounds.wall.push_back(spread_of(each.seconds).median);
    rounds.processor.push_back(spread_of(each.processor_seconds).median);
  }
  return rounds;
}

}  // namespace

ReportRecord::Spread spread_of(std::vector<double> numbers) {
  std::sort(numbers.begin(), numbers.end());
  const size_t middle = numbers.size() / 2;
  const bool is_even = numbers.size() % 2 == 0;
  const double median = is_even ? (numbers[middle - 1] + numbers[middle]) / 2 : numbers[middle];
  return {numbers.front(), median, numbers.back()};
}

std::vector<ReportRecord::FairTime> fair_times_of(const Case& c,
                                                  const std::vector<TimedRun>& times) {
  std::vector<ReportRecord::FairTime> fair;
  Rounds first;
  for (const CaseArm& arm : c.arms) {
    const Rounds rounds = rounds_of(arm.name, times);
    if (rounds.wall.empty()) continue;
    ReportRecord::FairTime time;
    time.arm = arm.name;
    time.rounds = static_cast<int64_t>(rounds.wall.size());
    time.wall = spread_of(rounds.wall);
    time.processor = spread_of(rounds.processor);
    time.is_by_processor = arm.device == DeviceKind::kCpu;
    if (fair.empty()) {
      first = rounds;
    } else {
      time.change = time.is_by_processor ? change_of_pairs(first.processor, rounds.processor)
                                         : change_of_pairs(first.wall, rounds.wall);
    }
    fair.push_back(std::move(time));
  }
  return fair;
}

}  // namespace samebits
