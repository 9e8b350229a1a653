#include "harness/observe/recorder_file.h"

#include "harness/base/json.h"
#include "harness/observe/run_files.h"

namespace samebits {
namespace {

constexpr int64_t kFormat = 1;

// Null where no recorder began to write.
Json recorder_of(const std::filesystem::path& arm_folder) {
  const std::filesystem::path file = arm_folder / run_files::kRecorder;
  if (!std::filesystem::exists(file)) return nullptr;
  Json parsed = read_json_file(file);
  const JsonReader json(parsed, file.string());
  json.object({"format", "recorder", "level", "part", "command", "environment"});
  const JsonReader format = json.required("format");
  if (format.integer() != kFormat) format.fail(format.shown(), std::to_string(kFormat));
  return parsed;
}

}  // namespace

bool has_recorder(const std::filesystem::path& arm_folder) {
  return !recorder_of(arm_folder).is_null();
}

std::string recorder_level(const std::filesystem::path& arm_folder) {
  const Json recorder = recorder_of(arm_folder);
  if (recorder.is_null()) return "";
  const JsonReader json(recorder, (arm_folder / run_files::kRecorder).string());
  const auto level = json.optional("level");
  return level ? level->name() : "";
}

std::string source_of(const std::filesystem::path& arm_folder, int64_t rank,
                      const std::string& site) {
  const std::filesystem::path file = run_files::sites(arm_folder, rank);
  if (!std::filesystem::exists(file)) return "";
  const Json parsed = read_json_file(file);
  const JsonReader json(parsed, file.string());
  json.object({"sources", "unobserved"});
  const auto source = json.required("sources").optional(site);
  return source ? source->name() : "";
}

}  // namespace samebits
