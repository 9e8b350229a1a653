#include "harness/observe/kept_file.h"

#include <filesystem>
#include <map>
#include <tuple>

#include "harness/base/error.h"
#include "harness/observe/run_files.h"

namespace samebits {
namespace {

bool is_of(const TensorView& kept, const Observation& seen) {
  return kept.dtype == seen.dtype && kept.shape == seen.shape &&
         digest_of(kept.dtype, kept.shape, kept.data.data()) == seen.digest;
}

// Likewise, of one rank.
std::string attach(StreamContents& stream, const SafetensorsFile& file, bool is_finished) {
  const std::string name_of_file = std::filesystem::path(file.path()).filename().string();
  std::map<std::tuple<int64_t, std::string, std::string>, int64_t> seen;
  size_t attached = 0;
  for (Observation& each : stream.observations) {
    const int64_t occurrence = seen[{each.step, each.phase, each.site}]++;
    const std::string name = kept_name(each.step, occurrence, each.phase, each.site);
    const TensorView* kept = file.find(name);
    if (kept == nullptr) continue;
    if (!is_of(*kept, each))
      return name_of_file + ": " + quoted(name) + " is not what was observed";
    each.kept.tensor = kept;
    ++attached;
  }
  if (!is_finished || attached == file.tensors().size()) return "";
  return name_of_file + " has tensors that were not observed";
}

}  // namespace

std::string kept_name(int64_t step, int64_t occurrence, const std::string& phase,
                      const std::string& site) {
  return std::to_string(step) + " " + std::to_string(occurrence) + " " + phase + " " + site;
}

std::string attach_kept(ArmRecording& recording) {
  std::string unlike;
  for (size_t rank = 0; rank < recording.ranks.size(); ++rank) {
    const auto path = run_files::kept(recording.folder, static_cast<int64_t>(rank));
    if (!std::filesystem::exists(path)) continue;
    const auto file = std::make_shared<const SafetensorsFile>(path.string());
    recording.kept.push_back(file);
    const std::string found = attach(recording.ranks[rank], *file, recording.finished);
    if (unlike.empty()) unlike = found;
  }
  return unlike;
}

}  // namespace samebits
