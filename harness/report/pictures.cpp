#include "harness/report/pictures.h"

#include <algorithm>
#include <filesystem>

#include "harness/observe/run_files.h"

namespace samebits {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMostSpreads = 8;

// What a closer look at two arms left, where there was one and it is whole.
void add_closer_look(Pictures& pictures, const RecordedRun& run, const Verdict::Pair& pair) {
  if (run.folder.empty()) return;
  const fs::path folder = run.folder / run_files::closer_folder(pair.a, pair.b);
  const auto has_stream = [&](const std::string& arm) {
    return fs::exists(run_files::stream(folder / arm, 0));
  };
  if (!has_stream(pair.a) || !has_stream(pair.b)) return;
  OperatorSpread spread =
      spread_between(read_arm(folder / pair.a), read_arm(folder / pair.b), pair.compares_operators);
  if (spread.differs()) pictures.spreads.push_back({std::move(spread), true, false});
  if (std::optional<KeptTensors> kept = read_kept_tensors(folder)) {
    pictures.kept.push_back(*std::move(kept));
  }
}

}  // namespace

Pictures pictures_of(const RecordedRun& run, const ReportRecord& record) {
  Pictures pictures;
  const auto add_pairs = [&](bool of_failures) {
    for (const Verdict& verdict : record.verdicts) {
      for (const Verdict::Pair& pair : verdict.pairs) {
        if (pair.holds == of_failures || pictures.spreads.size() >= kMostSpreads) continue;
        if (!pair.holds) add_closer_look(pictures, run, pair);
        const ArmRecording& a = recording_of(run.recordings, pair.a);
        const ArmRecording& b = recording_of(run.recordings, pair.b);
        if (a.log || b.log) continue;  // bits of two logs may differ where what they print agrees
        if (pair.comparison.agrees() && !pair.comparison.first_different_step) {
          pictures.equal.push_back(pair.a + " and " + pair.b);
          continue;
        }
        const bool is_control = verdict.relation.holds == Holds::kMustDiverge;
        OperatorSpread spread = spread_between(a, b, pair.compares_operators);
        if (spread.differs()) pictures.spreads.push_back({std::move(spread), false, is_control});
      }
    }
  };
  add_pairs(true);
  add_pairs(false);
  return pictures;
}

}  // namespace samebits
