#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "harness/base/json.h"
#include "harness/compare/verdict.h"
#include "harness/observe/manifest.h"
#include "harness/run/progress.h"
#include "harness/run/rank_pool.h"

namespace samebits {

// Looks closer at what failed: arms that diverged at level `step`, and arms with a NaN or an
// infinity, run again at level `op`, each in its own mode, as far as the step at which that
// happened, in a folder inside the run's. That names the operator. An arm that observes other
// values when it runs again parts from itself, which is a finding of its own.
std::vector<Manifest::Closer> look_closer(const Case& c,
                                          const std::vector<ArmRecording>& recordings,
                                          const std::vector<Verdict>& verdicts, const Json& origin,
                                          const std::filesystem::path& out, Progress& progress,
                                          RankPool* launched = nullptr);

}  // namespace samebits
