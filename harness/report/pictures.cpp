#include "harness/report/pictures.h"

#include <algorithm>
#include <filesystem>

#include "harness/compare/common_precision.h"
#include "harness/observe/run_files.h"

namespace samebits {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMostSpreads = 8;

// What a closer look at two arms left, where there was one; false otherwise.
bool add_closer_look(Pictures& pictures, const RecordedRun& run, const Verdict::Pair& pair) {
  if (run.folder.empty()) return false;
  const fs::path folder = run.folder / run_files::closer_folder(pair.a, pair.b);
  const auto has_stream = [&](const std::string& arm) {
    return fs::exists(run_files::stream(folder / arm, 0));
  };
  if (!has_stream(pair.a) || !has_stream(pair.b)) return false;
  if (std::optional<KeptTensors> kept = read_kept_tensors(folder)) {
    pictures.kept.push_back(*std::move(kept));
  }
  if (std::optional<CallGraph> calls = read_call_graph(folder)) {
    pictures.calls.push_back(*std::move(calls));
  }
  OperatorSpread spread =
      spread_between(read_arm(folder / pair.a), read_arm(folder / pair.b), pair.compares_operators);
  if (!spread.differs()) return false;
  pictures.spreads.push_back({std::move(spread), true, false});
  return true;
}

// Steps of a run, of which a closer look saw the first ones.
bool has_later_steps(const ArmRecording& recording, const OperatorSpread& closer) {
  const std::vector<Observation>& seen = recording.ranks.front().observations;
  return !seen.empty() && seen.back().step > closer.columns.back().step;
}

void add_pair(Pictures& pictures, const RecordedRun& run, const Verdict::Pair& pair,
              bool is_control) {
  const ArmRecording& a = recording_of(run.recordings, pair.a);
  const ArmRecording& b = recording_of(run.recordings, pair.b);
  const bool has_closer_look = !pair.holds && add_closer_look(pictures, run, pair);
  if (has_closer_look && !has_later_steps(a, pictures.spreads.back().between)) return;
  // Their bits may differ where what the coarser log holds agrees.
  if (is_coarsened_by(a, b) || is_coarsened_by(b, a)) return;
  if (pair.comparison.agrees() && !pair.comparison.first_different_step) {
    pictures.equal.push_back(pair.a + " and " + pair.b);
    return;
  }
  OperatorSpread spread = spread_between(a, b, pair.compares_operators);
  if (spread.differs()) pictures.spreads.push_back({std::move(spread), false, is_control});
}

}  // namespace

Pictures pictures_of(const RecordedRun& run, const ReportRecord& record) {
  Pictures pictures;
  for (const bool holds : {false, true}) {
    for (const Verdict& verdict : record.verdicts) {
      for (const Verdict::Pair& pair : verdict.pairs) {
        if (pair.holds != holds || pictures.spreads.size() >= kMostSpreads) continue;
        add_pair(pictures, run, pair, verdict.relation.holds == Holds::kMustDiverge);
      }
    }
  }
  return pictures;
}

}  // namespace samebits
