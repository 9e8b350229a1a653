#include <map>
#include <set>
#include <utility>

#include "harness/logs/event_file.h"
#include "harness/report/writers.h"

namespace samebits {
namespace {

// Seconds from the begin of the arm to the end of each of its steps.
std::map<int64_t, double> ends_of_steps(const std::vector<StepRecord>& steps) {
  std::map<int64_t, double> ends;
  double now = 0;
  for (const StepRecord& step : steps) {
    for (const PhaseCost& phase : step.phases) now += phase.seconds;
    ends[step.step] = now;
  }
  return ends;
}

// A scalar of the whole step: no token's, no sample's, no operator's.
bool is_curve(const Observation& seen) {
  return seen.bits && !is_operator_site(seen.site) && site_kind(seen.site) == seen.site;
}

}  // namespace

std::vector<EventFile> tensorboard_files(const RecordedRun& run) {
  std::vector<EventFile> files;
  for (const ArmRecording& recording : run.recordings) {
    const std::map<int64_t, double> ends = ends_of_steps(recording.steps);
    EventFile& file = files.emplace_back(EventFile{recording.arm, version_record()});
    std::set<std::pair<int64_t, std::string>> written;
    for (const Observation& seen : recording.ranks.front().observations) {
      if (!is_curve(seen) || !written.emplace(seen.step, seen.site).second) continue;
      const auto end = ends.find(seen.step);
      file.bytes += scalar_record(seen.site, seen.step, static_cast<float>(scalar_value(seen)),
                                  end == ends.end() ? 0 : end->second);
    }
  }
  return files;
}

}  // namespace samebits
