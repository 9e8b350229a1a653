#include "harness/observe/times_file.h"

#include "harness/base/file.h"
#include "harness/base/json.h"
#include "harness/observe/run_files.h"

namespace samebits {
namespace {

std::vector<double> seconds_from(const JsonReader& json) {
  std::vector<double> seconds;
  for (const JsonReader& each : json.array(1)) seconds.push_back(each.number_at_least(0));
  return seconds;
}

}  // namespace

void write_times(const std::filesystem::path& run_folder, const std::vector<TimedRun>& times) {
  Json json = Json::array();
  for (const TimedRun& each : times) {
    json.push_back({{"arm", each.arm},
                    {"round", each.round},
                    {"seconds", each.seconds},
                    {"processor_seconds", each.processor_seconds}});
  }
  write_text_file((run_folder / run_files::kTimes).string(), json.dump(1) + "\n");
}

std::vector<TimedRun> read_times(const std::filesystem::path& run_folder) {
  const std::filesystem::path file = run_folder / run_files::kTimes;
  std::vector<TimedRun> times;
  if (!std::filesystem::exists(file)) return times;
  const Json parsed = read_json_file(file);
  for (const JsonReader& each : JsonReader(parsed, file.string()).array()) {
    each.object({"arm", "round", "seconds", "processor_seconds"});
    times.push_back({each.required("arm").name(), each.required("round").integer(0),
                     seconds_from(each.required("seconds")),
                     seconds_from(each.required("processor_seconds"))});
  }
  return times;
}

}  // namespace samebits
