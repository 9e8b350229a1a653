#include "harness/logs/recording.h"

#include "harness/base/error.h"
#include "harness/base/mapped_file.h"
#include "harness/logs/readers.h"

namespace samebits {

ArmRecording read_recording(const std::filesystem::path& path, const LogSettings& settings) {
  if (!std::filesystem::exists(path)) {
    throw InputError(path.string(), "no such file or folder", "a log, or a recorded arm's folder");
  }
  if (!std::filesystem::is_regular_file(path)) {
    if (!std::filesystem::is_directory(path)) {
      throw InputError(path.string(), "a pipe or a device", "a log as a regular file, or a folder");
    }
    if (settings == LogSettings()) return read_whole_arm(path);
    throw InputError(path.string(), "no file", "a log, as it is said how to read one");
  }
  const MappedFile file(path.string());
  const auto* bytes = reinterpret_cast<const char*>(file.bytes().data());
  Log log = read_log({{bytes, file.bytes().size()}, path.string(), settings});
  ArmRecording recording;
  recording.arm = path.filename().string();
  recording.folder = path.parent_path();
  recording.ranks.push_back(std::move(log.stream));
  recording.finished = true;
  recording.log = std::move(log.source);
  return recording;
}

}  // namespace samebits
